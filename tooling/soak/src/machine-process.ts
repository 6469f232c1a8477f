/** A machine in a process of its own, so that what is measured is its own: the clients are in another one. */
import { setTimeout as sleep } from "node:timers/promises";
import { createMachine, type Machine, type MachineKind, type MachineOptions } from "@toril/machine";
import { measure, type Sample } from "./measure.ts";

export type Order = { readonly kind: "measure" } | { readonly kind: "stop" };
export type Report =
  | { readonly kind: "up"; readonly web: number; readonly echo: number }
  | { readonly kind: "sample"; readonly sample: Sample }
  | { readonly kind: "stopped"; readonly logged: readonly string[] };

const [kind = "inline", directory = "."] = process.argv.slice(2);
const logged: string[] = [];

function say(report: Report): void {
  process.send?.(report);
}

function note(level: string): (message: string, fields?: object) => void {
  return (message, fields) => {
    if (logged.length < 100) logged.push(`${level}: ${message} ${JSON.stringify(fields ?? {})}`);
  };
}

const log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: (message: string, fields: object = {}) => {
    // The echo server lets a client's reset end the client's thread: that is how it is meant.
    const reason = "reason" in fields ? String(fields.reason) : "";
    if (message !== "a thread failed" || !reason.startsWith("SystemError")) note("error")(message, fields);
  },
};
const options: MachineOptions = {
  kind: kind as MachineKind,
  directory: { path: directory },
  log,
  ...(kind === "vhost-user" ? { vhostUser: { spawn: true } } : {}),
};

process.on("unhandledRejection", (reason) => note("unhandled rejection")(String(reason)));

const machine = await createMachine(options);
const program = await machine.start({ module: new URL("program.ts", import.meta.url) });
await program.ready;
const web = await machine.forward({ port: 0, guestPort: 80 });
const echo = await machine.forward({ port: 0, guestPort: 7 });
void program.ended.then((exit) => note("the program ended")(JSON.stringify(exit)));
process.on("message", (order: Order) => void obey(machine, order));
say({ kind: "up", web: web.port, echo: echo.port });

async function obey(of: Machine, order: Order): Promise<void> {
  if (order.kind === "measure") {
    // Finalizers and the collector's own bookkeeping need a second round.
    for (let i = 0; i < 2; i++) {
      globalThis.gc?.();
      await sleep(20);
    }
    say({ kind: "sample", sample: measure(await of.stats()) });
    return;
  }
  const told = [...logged];
  await of.stop({ graceMs: 2_000 });
  say({ kind: "stopped", logged: told });
  process.disconnect();
}
