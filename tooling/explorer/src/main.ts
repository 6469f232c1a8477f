/**
 * `pnpm explore [--long] [--mutants]`: explores the programs and prints what was found. With `--mutants`: the failing
 * schedule of every mutant. Ends with 1 when something is wrong.
 */
import { parseArgs } from "node:util";
import { load } from "./load.ts";
import { mutants } from "./mutants.ts";
import { type RunResult, run } from "./run.ts";
import { long, short } from "./suites.ts";
import { formatTrace } from "./trace.ts";

const { values } = parseArgs({ options: { long: { type: "boolean" }, mutants: { type: "boolean" } } });
if (values.mutants === true) await showMutants();
else await explorePrograms();

async function explorePrograms(): Promise<void> {
  const loaded = await load();
  for (const { program, models } of values.long === true ? long : short) {
    for (const model of models) {
      const began = Date.now();
      const result = run(loaded, program, { model });
      console.log(`${summary(result)}, ${((Date.now() - began) / 1000).toFixed(1)} s`);
      if (result.failure !== undefined || !result.complete) process.exitCode = 1;
      show(result);
    }
  }
}

async function showMutants(): Promise<void> {
  for (const mutant of mutants) {
    const loaded = await load(mutant.changes);
    const { plainStore, program } = mutant;
    const [model = "tso"] = mutant.foundBy;
    const result = run(loaded, program, { model, ...(plainStore === undefined ? {} : { plainStore }) });
    console.log(`\n${result.failure === undefined ? "NOT FOUND" : "found"}: ${mutant.name}\n${summary(result)}`);
    if (result.failure === undefined) process.exitCode = 1;
    show(result);
  }
}

function summary({ program, model, states, transitions, ends, runs, failure, complete }: RunResult): string {
  const outcome = failure === undefined ? (complete ? "nothing wrong" : "GAVE UP") : "FAILS";
  return `${outcome}: ${program.name}; ${model}: ${states} states, ${transitions} steps, ${ends} ends, ${runs} thread runs`;
}

function show({ failure, program }: RunResult): void {
  const names = program.threads.map(({ name }) => name);
  if (failure !== undefined) console.log(formatTrace(failure, names, program.nameOf));
}
