/** `toril run`: boots anyone's program on the kernel. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { consoleLog } from "@toril/host";
import { type Command, Option } from "commander";
import { typeScriptLoader } from "../appliances.ts";
import type { CommandContext } from "../context.ts";
import { runSession } from "../run-machine.ts";
import { formatStats } from "../stats-table.ts";
import { CommandError, type ForwardSpec, readForward, UsageError, wholeNumber } from "../usage.ts";
import { addMachineOptions, type MachineFlags, recordOf, vhostUserOf } from "./options.ts";

/** What a program may take to end after SIGINT. */
const GRACE_MS = 5_000;

interface RunFlags extends MachineFlags {
  readonly dir?: string;
  readonly writable: boolean;
  readonly forward?: readonly ForwardSpec[];
  readonly cores: number;
  readonly cid?: number;
  readonly stats: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function addRun(program: Command, context: CommandContext, exit: (code: number) => void): void {
  const command = program
    .command("run")
    .description("boot a program on the kernel: a module that exports main(sys)")
    .argument("<appliance>", "the module, TypeScript or JavaScript")
    .argument("[args...]", "its arguments, as sys.args")
    .option("--dir <dir>", "the directory that its file calls see; none unless told")
    .option("--writable", "let it change that directory", false)
    .addOption(
      new Option(
        "--forward <[address:]port:guestport>",
        "lead a TCP port of the host to a port of the guest; repeatable",
      ).argParser(readForward),
    )
    .option("--cores <n>", "cores; more than one needs --machine dedicated", wholeNumber("a number of cores", 1, 64), 1)
    .option("--cid <n>", "the guest's context id (default: 3)", wholeNumber("a guest CID", 3, 0xffff_fffe))
    .option("--stats", "counters at the end", false)
    .option("--json", "with --stats: the counters as one JSON document on stdout", false)
    .option("--quiet", "no boot log", false);
  addMachineOptions(command).action(async (appliance: string, args: string[], flags: RunFlags) => {
    exit(await run(appliance, args, flags, context));
  });
}

function run(appliance: string, args: readonly string[], flags: RunFlags, context: CommandContext): Promise<number> {
  if (flags.cores > 1 && flags.machine !== "dedicated") {
    throw new UsageError(`the ${flags.machine} machine has one core, not ${flags.cores}: add --machine dedicated`);
  }
  const { dir, writable, cache, cid } = { cache: "auto" as const, ...flags };
  const backEnds = vhostUserOf(flags, cache, { given: dir, name: "--dir" });
  if (flags.vsock !== undefined && cid !== undefined) {
    throw new UsageError("the guest's context id is that of the daemon behind --vsock: leave --cid out");
  }
  const module = moduleUrl(appliance);
  const log = consoleLog({ level: flags.quiet ? "warn" : "info", write: (line) => context.stderr(line) });
  return runSession({
    machine: {
      kind: flags.machine,
      txPath: flags.tx,
      cores: flags.cores,
      ...(cid === undefined ? {} : { cid }),
      ...backEnds,
      ...recordOf(flags),
      preload: [typeScriptLoader],
      ...(flags.memory === undefined ? {} : { memory: flags.memory }),
      ...(dir === undefined
        ? {}
        : { directory: { path: dir, cache, access: writable ? ("writable" as const) : ("read-only" as const) } }),
      log,
    },
    program: { module, args },
    forwards: flags.forward ?? [],
    opens: "started",
    graceMs: GRACE_MS,
    onOpen(_machine, forwards) {
      for (const forward of forwards) {
        log.info(`forwarding ${forward.host}:${forward.port} to the guest's port ${forward.guestPort}`);
      }
    },
    onEnd(stats) {
      if (!flags.stats) return;
      if (flags.json) context.stdout(`${JSON.stringify({ stats })}\n`);
      else context.stderr(`\n${formatStats(stats)}`);
    },
    say: (line) => context.stderr(`toril: ${line}\n`),
  });
}

const MODULE = /\.[cm]?[jt]s$/;

/** @throws CommandError when there is no such file, or it is no module */
function moduleUrl(appliance: string): URL {
  const path = resolve(appliance);
  try {
    if (statSync(path).isFile()) {
      if (MODULE.test(path)) return pathToFileURL(path);
      throw new CommandError(`${appliance} is no module: name a .ts, .mts, .js or .mjs file that exports main(sys)`);
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`no program at ${appliance}: name a module that exports main(sys)`, { cause: error });
  }
  throw new CommandError(`${appliance} is a directory: name a module that exports main(sys)`);
}
