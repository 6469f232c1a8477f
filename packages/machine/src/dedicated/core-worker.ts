/** A core's thread: boots the core, brings up what is dedicated to it, runs the program on core 0. */
import { workerData } from "node:worker_threads";
import { monotonicNow } from "@toril/host";
import { CoreBoard, runExclusive, WakeWord } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import { Guest } from "../guest.ts";
import { startProgram } from "../program.ts";
import type { ProgramObserver } from "../program-run.ts";
import { OWN_DEVICE_TUNING, spinOf } from "../tuning.ts";
import { type CorePlan, carryError, type DevicePart, type Request } from "./plan.ts";
import { RegisterPage } from "./register-page.ts";
import { RegisterTransport } from "./register-transport.ts";
import { serveRequests, supervisorLog, tell } from "./worker-side.ts";

/** Tells at once: a program that never yields after `ready` lets nothing else run. */
const teller: ProgramObserver = {
  announceReady: () => tell({ kind: "program-ready" }),
  end: (exit) =>
    tell({
      kind: "program-ended",
      exit: exit.kind === "failed" ? { error: carryError(exit.error) } : { code: exit.code },
    }),
};
const plan = workerData as CorePlan;
const memory = GuestMemory.attach(plan.shared.wasm);
const board = new CoreBoard(plan.shared.cores);
const deviceBoard = new CoreBoard(plan.shared.devices);
const guest = new Guest({
  core: plan.core,
  memory,
  heap: { base: guestAddress(plan.heap.base), size: plan.heap.size },
  now: monotonicNow(),
  wallClock: Date.now,
  log: supervisorLog(),
  ...(plan.bus === undefined ? { bell: board.bell(plan.core) } : { neighbours: { board, bus: plan.bus } }),
});
const { core } = guest;
if (!(core.bell instanceof WakeWord)) throw new TypeError("a core of the dedicated machine sleeps on a wake word");
core.dedicate(serveRequests(plan.mailbox, serve), "supervisor");
// Before the loop runs: nothing is done for other cores, such as loading a program's module for a thread of theirs, until
// the loaders that it needs are there.
const preloaded = await importAll(plan.preload);
const loop = runExclusive(core, {
  bell: core.bell,
  spin: spinOf(plan.tuning),
  drained: () => new Promise((resolve) => setImmediate(resolve)),
});
guest.report(`loop of core ${plan.core}`, () => loop.idle.stats);
board.setState(plan.core, "running");
const booted = boot().then(
  () => tell({ kind: "up" }),
  async (error: unknown) => {
    tell({ kind: "failed", error: carryError(error) });
    await end();
  },
);

async function boot(): Promise<void> {
  if (preloaded.kind === "failed") throw preloaded.error;
  if (plan.main === undefined) return;
  const { vsock, files, program, record } = plan.main;
  await guest.bringUp({
    vsock: {
      transport: attach(vsock, "vsock registers"),
      txPath: vsock.txPath,
      tuning: { ...OWN_DEVICE_TUNING, ...plan.tuning.driver },
    },
    ...(files && { files: { ...files, transport: attach(files, "file registers") } }),
    record,
  });
  const { module, export: name, args } = program;
  // Importing a module needs the engine's own event loop, which an exclusive core lets run only when told.
  await core.external(startProgram(guest, { module: new URL(module), export: name, args }, teller));
}

async function importAll(modules: readonly string[]): Promise<{ kind: "done" } | { kind: "failed"; error: unknown }> {
  try {
    for (const module of modules) await import(module);
    return { kind: "done" };
  } catch (error) {
    return { kind: "failed", error };
  }
}

function attach(part: DevicePart, name: string): RegisterTransport {
  const transport = new RegisterTransport({
    memory,
    page: new RegisterPage(part.page),
    deviceBell: deviceBoard.bell(part.thread),
    deviceAlive: () => !deviceBoard.isGone(part.thread),
  });
  core.dedicate(transport, name);
  return transport;
}

async function serve(request: Request): Promise<unknown> {
  switch (request.kind) {
    case "stats":
      return guest.stats();
    case "request-stop":
      return guest.requestStop();
    case "shut-down":
      // What is half brought up cannot be let go of.
      await booted;
      return end();
    default:
      throw new TypeError(`a core does not serve "${request.kind}"`);
  }
}

async function end(): Promise<void> {
  await guest.shutDown();
  loop.stop();
  void loop.ended.then(() => {
    guest.booted.stopped();
    // Timers and sockets that the program left behind would keep the thread.
    process.exit();
  });
}
