/** `toril ping-pong`: what each transmit path costs, and where the time goes, beside other ways to move bytes. */
import { accessSync, constants, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  EXPERIMENT,
  EXPERIMENT_SIZES,
  experimentDocument,
  experimentPage,
  formatExperiment,
  formatTable,
  jsonDocument,
  MACHINES,
  MAX_SIZE,
  type Mode,
  PRESET_NAMES,
  type PresetName,
  reportPage,
  runExperiment,
  runPingPong,
  SIZES,
  TX_PATHS,
  type Watcher,
} from "@toril/app-ping-pong";
import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import { type Command, InvalidArgumentError, Option } from "commander";
import { applianceUrl, pingPongProcess, pingPongSources } from "../appliances.ts";
import type { CommandContext } from "../context.ts";
import { Progress } from "../progress.ts";
import { catchSignals } from "../signals.ts";
import { CommandError, readBytes, UsageError, wholeNumber } from "../usage.ts";

/** Without options: those that need nothing installed. */
const DEFAULT_MACHINES: readonly MachineKind[] = ["inline", "dedicated"];
const MODES: readonly Mode[] = ["rtt", "bulk"];

interface PingPongFlags {
  readonly machine?: MachineKind | "all";
  readonly tx: TxPath | "all";
  readonly sizes?: readonly number[];
  readonly count?: number;
  readonly rounds?: number;
  readonly mode?: Mode | "all";
  readonly peers: boolean;
  readonly preset: PresetName | typeof EXPERIMENT;
  readonly pin?: readonly [number, number];
  readonly json: boolean;
  readonly capture?: string;
  readonly report?: string;
}

/** What was found out, as it is shown. */
interface Findings {
  table(): string;
  document(): object;
  page(): string;
}

export function addPingPong(program: Command, context: CommandContext, exit: (code: number) => void): void {
  program
    .command("ping-pong")
    .description(
      "measure the transmit paths: round trips and throughput, copies, wake-ups, beside peers in the same run",
    )
    .addOption(
      new Option("--machine <kind>", "which machines (default: inline and dedicated)").choices([...MACHINES, "all"]),
    )
    .addOption(
      new Option("--tx <path>", "which transmit paths of the vsock driver")
        .choices([...TX_PATHS, "all"])
        .default("all"),
    )
    .option(
      "--sizes <list>",
      `bytes of a message, with commas between: 64,4096,1M (default: ${SIZES.join(",")}; toro-2023: ${EXPERIMENT_SIZES.join(",")})`,
      readSizes,
    )
    .option("--count <n>", "messages of each run (default: as many as its share of the time takes)", readCount)
    .option("--rounds <n>", "rounds, of which the medians are told (default: 5)", wholeNumber("a count", 1, 1_000))
    .addOption(
      new Option("--mode <mode>", "rtt: there and back; bulk: one way, from the guest (default: all)").choices([
        ...MODES,
        "all",
      ]),
    )
    .addOption(
      new Option("--preset <name>", "a named set of conditions; toro-2023: the experiment of that year, step by step")
        .choices([...PRESET_NAMES, EXPERIMENT])
        .default("default"),
    )
    .option("--pin <cpu,cpu>", "keep each machine's and each peer's two sides on a processor each", readCpus)
    .option("--no-peers", "only our own machines")
    .option("--report <file.html>", "also write a page with plots")
    .option("--capture <file>", "record each machine's vsock packets, for Wireshark (pcap); it takes its time, too")
    .option("--json", "one JSON document on stdout", false)
    .action(async (flags: PingPongFlags) => {
      exit(await pingPong(flags, context));
    });
}

async function pingPong(flags: PingPongFlags, context: CommandContext): Promise<number> {
  const { report } = flags;
  if (report !== undefined) mustBeWritable(report);
  const ending = new AbortController();
  const signals = catchSignals((signal) => {
    context.stderr(`toril: ${signal}: ends with what was measured so far; once more to stop at once\n`);
    ending.abort();
  });
  const progress = new Progress((text) => context.stderr(text), "ping-pong");
  try {
    const findings = await findOut(flags, {
      progress: (what, share) => progress.show(what, share),
      signal: ending.signal,
    });
    progress.end();
    if (report !== undefined) {
      writeFileSync(report, findings.page());
      context.stderr(`toril: the report is in ${report}\n`);
    }
    context.stdout(flags.json ? `${JSON.stringify(findings.document())}\n` : findings.table());
    return 0;
  } finally {
    progress.end();
    signals.release();
  }
}

async function findOut(flags: PingPongFlags, watcher: Watcher): Promise<Findings> {
  try {
    const { preset } = flags;
    return preset === EXPERIMENT ? await experiment(flags, watcher) : await measure({ ...flags, preset }, watcher);
  } catch (error) {
    // What its surroundings refuse is told in a line; the rest keeps its stack.
    if (error instanceof Error && !isBug(error) && !(error instanceof UsageError)) {
      throw new CommandError(`ping-pong: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

const modules = { ends: applianceUrl("ping-pong"), process: pingPongProcess, sources: pingPongSources };

async function measure(flags: PingPongFlags & { readonly preset: PresetName }, watcher: Watcher): Promise<Findings> {
  const { machine, tx, sizes, count, rounds, mode, preset, pin, peers, capture } = flags;
  const machines = machine === undefined ? DEFAULT_MACHINES : machine === "all" ? MACHINES : [machine];
  const outcome = await runPingPong(
    {
      modules,
      machines,
      machinesAre: machine === "all" ? "optional" : "required",
      tx: tx === "all" ? TX_PATHS : [tx],
      sizes: sizes ?? SIZES,
      modes: mode === undefined || mode === "all" ? MODES : [mode],
      peers: peers ? "all" : "none",
      preset,
      ...(count === undefined ? {} : { count }),
      ...(rounds === undefined ? {} : { rounds }),
      ...(pin === undefined ? {} : { cpus: pin }),
      ...(capture === undefined ? {} : { capture }),
    },
    watcher,
  );
  return {
    table: () => formatTable(outcome),
    document: () => jsonDocument(outcome),
    page: () => reportPage(outcome),
  };
}

async function experiment(flags: PingPongFlags, watcher: Watcher): Promise<Findings> {
  const { tx, sizes, count, rounds, pin, ...others } = flags;
  for (const name of ["machine", "mode", "capture"] as const) {
    if (others[name] !== undefined) {
      throw new UsageError(`the preset ${EXPERIMENT} has machines and loads of its own: leave --${name} out`);
    }
  }
  const outcome = await runExperiment(
    {
      modules,
      tx: tx === "all" ? TX_PATHS : [tx],
      sizes: sizes ?? EXPERIMENT_SIZES,
      ...(count === undefined ? {} : { count }),
      ...(rounds === undefined ? {} : { rounds }),
      ...(pin === undefined ? {} : { cpus: pin }),
    },
    watcher,
  );
  return {
    table: () => formatExperiment(outcome),
    document: () => experimentDocument(outcome),
    page: () => experimentPage(outcome),
  };
}

function isBug(error: Error): boolean {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}

/** Found out before the measurement, not two minutes later. @throws UsageError */
function mustBeWritable(file: string): void {
  const path = resolve(file);
  const directory = dirname(path);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new UsageError(`--report ${file} is a directory: name a file`);
    }
    accessSync(directory, constants.W_OK);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--report ${file}: nothing can be written to ${directory}`, { cause: error });
  }
}

const readCount = wholeNumber("a count", 1, 1_000_000);

function readSizes(text: string): readonly number[] {
  const sizes = text.split(",").map((part) => {
    const size = readBytes(part.trim());
    if (size >= 1 && size <= MAX_SIZE) return size;
    throw new InvalidArgumentError(`"${part}" is no message size: give 1 to ${MAX_SIZE} bytes.`);
  });
  const twice = sizes.find((size, i) => sizes.indexOf(size) !== i);
  if (twice !== undefined) throw new InvalidArgumentError(`${twice} is there twice: give each size once.`);
  return sizes;
}

function readCpus(text: string): readonly [number, number] {
  const [, first, second] = /^(\d{1,4}),(\d{1,4})$/.exec(text) ?? [];
  if (first !== undefined && second !== undefined) return [Number(first), Number(second)];
  throw new InvalidArgumentError(`"${text}" is no pair of processors: give two numbers, such as 0,1.`);
}
