/** A device's thread: serves one device to core 0. It shares Node's event loop, because sockets and files live there. */
import { workerData } from "node:worker_threads";
import { HostDirectory, monotonicNow, type TcpForward } from "@toril/host";
import { Core, CoreBoard, type PlainSystem, runHosted } from "@toril/kernel";
import { GuestMemory } from "@toril/memory";
import { type Device, DeviceHost } from "@toril/virtio";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { guestCid } from "@toril/vsock";
import { VsockDevice } from "@toril/vsock/device";
import { openForward } from "../forward.ts";
import { hostCalls, runHostProgram } from "../host-program.ts";
import { nodeLoop } from "../node-loop.ts";
import { FILE_SYSTEM_TAG } from "../settings.ts";
import { statGroup } from "../stats.ts";
import { spinOf } from "../tuning.ts";
import { carryError, type DevicePlan, type ForwardReply, type Request } from "./plan.ts";
import { RegisterPage } from "./register-page.ts";
import { RegisterServer } from "./register-server.ts";
import { serveRequests, supervisorLog, tell } from "./worker-side.ts";

const plan = workerData as DevicePlan;
const log = supervisorLog();
const board = new CoreBoard(plan.shared.devices);
const bell = board.bell(plan.thread);
/** A loop with timers is all that a device needs of a core. */
const core = new Core<PlainSystem>({
  id: plan.thread,
  now: monotonicNow(),
  bell,
  log,
  system: (threads) => ({ threads }),
});
const loop = runHosted(core, { host: nodeLoop, spin: spinOf(plan.tuning) });
const forwards: TcpForward[] = [];

/** The device that this thread is for. */
interface Served {
  readonly name: string;
  readonly device: Device;
  /** Only this one has ports to forward. */
  readonly vsock: VsockDevice | undefined;
  stats(): object;
  letGo(): void;
}

try {
  start(makeDevice());
} catch (error) {
  tell({ kind: "failed", error: carryError(error) });
  loop.stop();
}

function start(served: Served): void {
  const memory = GuestMemory.attach(plan.shared.wasm);
  const host = new DeviceHost({ device: served.device, memory, doorbell: bell, log });
  const driverBell = new CoreBoard(plan.shared.cores).bell(0);
  core.dedicate(new RegisterServer(host, new RegisterPage(plan.page), driverBell), served.name);
  core.dedicate(
    serveRequests(plan.mailbox, (request) => serve(request, served, host)),
    "supervisor",
  );
  board.setState(plan.thread, "running");
  tell({ kind: "up" });
}

function makeDevice(): Served {
  if (plan.device.type === "vsock") {
    const vsock = new VsockDevice({
      ...plan.tuning.device,
      guestCid: guestCid(plan.device.cid),
      clock: core.clock,
      log,
    });
    return { name: "vsock device", device: vsock, vsock, stats: () => vsock.stats, letGo: () => {} };
  }
  const { path, access } = plan.device;
  const directory = new HostDirectory({ path, access, log });
  const device = new VirtioFsDevice({ fileSystem: directory, tag: FILE_SYSTEM_TAG, log });
  return {
    name: "file device",
    device,
    vsock: undefined,
    stats: () => device.stats,
    letGo: () => directory.close(),
  };
}

async function serve(request: Request, { name, vsock, stats, letGo }: Served, host: DeviceHost): Promise<unknown> {
  switch (request.kind) {
    case "stats":
      return { [name]: { ...statGroup(stats()), ...host.stats, loop: { ...loop.idle.stats } } };
    case "forward": {
      if (vsock === undefined) throw new TypeError("only the vsock device forwards ports");
      const { forward, face } = await openForward(vsock, request.options, log);
      const reply: ForwardReply = { forward: forwards.push(forward) - 1, host: face.host, port: face.port };
      return reply;
    }
    case "run-host": {
      if (vsock === undefined) throw new TypeError("only the vsock device has a host's side");
      const { module, export: exported, args } = request;
      const calls = hostCalls(vsock, core.clock, () => loop.idle.stats);
      return runHostProgram(calls, { module: new URL(module), export: exported, args });
    }
    case "end-forwards":
      return endForwards(request.graceMs);
    case "close-forward":
      return forwards[request.forward]?.close({ graceMs: Number.POSITIVE_INFINITY });
    case "driver-died":
      return host.reset();
    case "shut-down":
      await endForwards(0);
      host.reset();
      loop.stop();
      void loop.ended.then(() => {
        letGo();
        board.setState(plan.thread, "stopped");
      });
      return undefined;
    case "request-stop":
      throw new TypeError("a device does not stop by itself: shut it down");
    default:
      return request satisfies never;
  }
}

async function endForwards(graceMs: number): Promise<void> {
  await Promise.all(forwards.map((forward) => forward.close({ graceMs })));
}
