/** An echo device behind a register page, in a thread of its own: for the tests of the transport. */
import { parentPort, workerData } from "node:worker_threads";
import { Core, CoreBoard, type PlainSystem, runHosted } from "@toril/kernel";
import { GuestMemory } from "@toril/memory";
import { DeviceHost } from "@toril/virtio";
import { EchoDevice, type EchoOptions } from "@toril/virtio/testing";
import { RegisterPage } from "../src/dedicated/register-page.ts";
import { RegisterServer } from "../src/dedicated/register-server.ts";
import { nodeLoop } from "../src/node-loop.ts";

export interface EchoPlan {
  readonly wasm: object;
  /** Place 0 is the driver's, 1 the device's. */
  readonly board: SharedArrayBuffer;
  readonly page: SharedArrayBuffer;
  readonly options: EchoOptions;
}

export type EchoWish =
  | { readonly kind: "set-config"; readonly config: Uint8Array }
  | { readonly kind: "break"; readonly reason: string }
  /** Blocks the thread. */
  | { readonly kind: "hang"; readonly ms: number }
  | { readonly kind: "exit" }
  | { readonly kind: "end" };

const plan = workerData as EchoPlan;
const board = new CoreBoard(plan.board);
const bell = board.bell(1);
const core = new Core<PlainSystem>({ id: 1, now: () => performance.now(), bell, system: (threads) => ({ threads }) });
const device = new EchoDevice(plan.options);
const host = new DeviceHost({ device, memory: GuestMemory.attach(plan.wasm), doorbell: bell });
core.dedicate(new RegisterServer(host, new RegisterPage(plan.page), board.bell(0)), "echo device");
const loop = runHosted(core, { host: nodeLoop });
parentPort?.on("message", (wish: EchoWish) => {
  switch (wish.kind) {
    case "set-config":
      return device.setConfig(wish.config);
    case "break":
      return device.context?.needsReset(wish.reason);
    case "hang":
      parentPort?.postMessage("hanging");
      return void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, wish.ms);
    case "exit":
      return process.exit(7);
    case "end":
      loop.stop();
      return parentPort?.close();
    default:
      return wish satisfies never;
  }
});
parentPort?.postMessage("up");
