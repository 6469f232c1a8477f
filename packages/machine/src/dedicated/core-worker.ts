/** A core's thread: boots the core, brings up what is dedicated to it, runs the program on core 0. */
import { workerData } from "node:worker_threads";
import { CoreBoard, runExclusive, WakeWord } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import { Guest, type GuestDevices } from "../guest.ts";
import { startProgram } from "../program.ts";
import { type CorePlan, carryError, type DevicePart, type Request } from "./plan.ts";
import { RegisterPage } from "./register-page.ts";
import { RegisterTransport } from "./register-transport.ts";
import { serveRequests, supervisorLog, tell } from "./worker-side.ts";

const plan = workerData as CorePlan;
const memory = GuestMemory.attach(plan.shared.wasm);
const board = new CoreBoard(plan.shared.cores);
const deviceBoard = new CoreBoard(plan.shared.devices);
const guest = new Guest({
  core: plan.core,
  memory,
  heap: { base: guestAddress(plan.heap.base), size: plan.heap.size },
  now: () => performance.now(),
  wallClock: Date.now,
  log: supervisorLog(),
  ...(plan.bus === undefined ? { bell: board.bell(plan.core) } : { neighbours: { board, bus: plan.bus } }),
});
const { core } = guest;
if (!(core.bell instanceof WakeWord)) throw new TypeError("a core of the dedicated machine sleeps on a wake word");
core.dedicate(serveRequests(plan.mailbox, serve), "supervisor");
const loop = runExclusive(core, { bell: core.bell, drained: () => new Promise((resolve) => setImmediate(resolve)) });
board.setState(plan.core, "running");
boot().catch((error: unknown) => tell({ kind: "failed", error: carryError(error) }));

async function boot(): Promise<void> {
  const { main } = plan;
  if (main === undefined) return tell({ kind: "up" });
  const { vsock, files, program } = main;
  const devices: GuestDevices = { vsock: { transport: attach(vsock, "vsock registers"), txPath: vsock.txPath } };
  if (files === undefined) await guest.bringUp(devices);
  else await guest.bringUp({ ...devices, files: { ...files, transport: attach(files, "file registers") } });
  tell({ kind: "up" });
  // Importing a module needs the engine's own event loop, which an exclusive core lets run only when told.
  const running = await core.external(
    startProgram(guest, { module: new URL(program.module), export: program.export, args: program.args }),
  );
  if ((await running.ready) === "ready") tell({ kind: "program-ready" });
  const exit = await running.ended;
  const told = exit.kind === "failed" ? { error: carryError(exit.error) } : { code: exit.code };
  tell({ kind: "program-ended", exit: told });
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
    case "stats": {
      const { spins, spinHits, waits } = loop.idle;
      return { ...guest.stats(), [`loop of core ${plan.core}`]: { spins, spinHits, waits } };
    }
    case "request-stop":
      guest.requestStop();
      return undefined;
    case "shut-down":
      await guest.shutDown();
      loop.stop();
      // After the reply has gone: then the thread has nothing left to do, and ends.
      void loop.ended.then(() => {
        guest.booted.stopped();
        board.setState(plan.core, "stopped");
      });
      return undefined;
    default:
      throw new TypeError(`a core does not serve "${request.kind}"`);
  }
}
