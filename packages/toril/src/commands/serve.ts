/** `toril serve`: the web appliance on a machine, behind a TCP port. */
import type { WebApplianceOptions } from "@toril/app-web-appliance";
import { consoleLog } from "@toril/host";
import type { MachineStats } from "@toril/machine";
import { type Command, Option } from "commander";
import { applianceUrl } from "../appliances.ts";
import type { CommandContext } from "../context.ts";
import { runSession } from "../run-machine.ts";
import { formatStats } from "../stats-table.ts";
import { readHost, readPort, wholeNumber } from "../usage.ts";
import { addMachineOptions, type MachineFlags, recordOf, vhostUserOf } from "./options.ts";
import { siteDirectory } from "./site.ts";

/** The vsock port of the web appliance: HTTP's own number. */
const HTTP_PORT = 80;
/** How long requests that are under way at SIGINT may take. */
const GRACE_MS = 5_000;

interface ServeFlags extends MachineFlags {
  readonly port: number;
  readonly host: string;
  readonly stats: boolean;
  readonly json: boolean;
  readonly accessLog: boolean;
  readonly verbose: boolean;
  readonly cache: "none" | "auto" | "always";
  readonly maxConnections: number;
}

export function addServe(program: Command, context: CommandContext, exit: (code: number) => void): void {
  const command = program
    .command("serve")
    .description("serve a directory over HTTP through the kernel, its virtqueues and its devices")
    .argument("[dir]", "the directory; the project's own site unless told")
    .option("--port <port>", "TCP port of the host; 0 for any free one", readPort, 8080)
    .option("--host <address>", "address of the host to listen on", readHost, "127.0.0.1")
    .option("--max-connections <n>", "connections at one time", wholeNumber("a count", 1, 65_535), 1024)
    .addOption(
      new Option("--cache <mode>", "how long the guest believes what it has cached: auto is a second")
        .choices(["none", "auto", "always"])
        .default("auto"),
    )
    .option("--access-log", "one line for each request on stderr", false)
    .option("--stats", "counters at the end: copies, notifications, wake-ups, latencies", false)
    .option("--json", "one JSON document on stdout: the address when ready; with --stats, all of it at the end", false)
    .option("--verbose", "the boot log, and what goes on inside", false);
  addMachineOptions(command).action(async (directory: string | undefined, flags: ServeFlags) => {
    exit(await serve(directory, flags, context));
  });
}

function serve(given: string | undefined, flags: ServeFlags, context: CommandContext): Promise<number> {
  const backEnds = vhostUserOf(flags, flags.cache, { given, name: "DIR" });
  // What a back-end serves, it knows best.
  const directory = backEnds.vhostUser?.fs === undefined ? (given ?? siteDirectory()) : undefined;
  const served = directory ?? `what is behind ${flags.fs}`;
  const log = consoleLog({
    level: flags.verbose || flags.accessLog ? "info" : "warn",
    write: (line) => context.stderr(line),
  });
  const args: WebApplianceOptions = {
    port: HTTP_PORT,
    accessLog: flags.accessLog,
    maxConnections: flags.maxConnections,
    graceMs: GRACE_MS,
  };
  let address: object = {};
  return runSession({
    machine: {
      kind: flags.machine,
      txPath: flags.tx,
      ...(flags.memory === undefined ? {} : { memory: flags.memory }),
      ...(directory === undefined ? {} : { directory: { path: directory, cache: flags.cache } }),
      ...backEnds,
      ...recordOf(flags),
      log,
    },
    program: { module: applianceUrl("web"), args },
    forwards: [{ host: flags.host, port: flags.port, guestPort: HTTP_PORT, maxConnections: flags.maxConnections }],
    opens: "ready",
    graceMs: GRACE_MS + 1_000,
    onOpen(machine, [forward]) {
      if (forward === undefined) return;
      const host = forward.host.includes(":") ? `[${forward.host}]` : forward.host;
      const url = `http://${host}:${forward.port}/`;
      address = {
        url,
        ...(directory === undefined ? { fs: flags.fs } : { directory }),
        machine: machine.kind,
        tx: flags.tx,
      };
      // Who does what in other processes is worth a line of its own.
      const [summary] = machine.description;
      if (machine.kind === "vhost-user" && !flags.verbose && !flags.accessLog) context.stderr(`toril: ${summary}\n`);
      if (!flags.json)
        context.stdout(`Toril serves ${served}\n  at ${url}   (${machine.kind} machine, ${flags.tx}; Ctrl-C stops)\n`);
      else if (!flags.stats) context.stdout(`${JSON.stringify(address)}\n`);
      else context.stderr(`toril: serving at ${url}\n`);
    },
    onEnd(stats: MachineStats) {
      if (flags.stats && flags.json) context.stdout(`${JSON.stringify({ ...address, stats })}\n`);
      else if (flags.stats) context.stderr(`\n${formatStats(stats)}`);
    },
    say: (line) => context.stderr(`toril: ${line}\n`),
  });
}
