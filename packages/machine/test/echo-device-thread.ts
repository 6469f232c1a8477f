/** Starts echo-device-worker.ts: a device behind a register page, for a driver in this thread. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { CoreBoard, type WakeWord } from "@toril/kernel";
import { GuestMemory } from "@toril/memory";
import type { EchoOptions } from "@toril/virtio/testing";
import { RegisterPage } from "../src/dedicated/register-page.ts";
import { RegisterTransport } from "../src/dedicated/register-transport.ts";
import type { EchoPlan, EchoWish } from "./echo-device-worker.ts";

export interface EchoThread {
  readonly memory: GuestMemory;
  readonly page: RegisterPage;
  readonly transport: RegisterTransport;
  /** The driver's. */
  readonly bell: WakeWord;
  tell(wish: EchoWish): void;
  /** The next word from the thread. */
  answer(): Promise<unknown>;
  /** Settles when the thread is gone and the board says so. */
  readonly gone: Promise<void>;
  end(): Promise<void>;
}

export async function startEchoThread(options: EchoOptions, commandTimeoutMs?: number): Promise<EchoThread> {
  const memory = GuestMemory.allocate({ size: 1 << 20, sharing: "shared" });
  const { wasm } = memory;
  if (wasm === undefined) throw new Error("no shared memory");
  const board = CoreBoard.create(2);
  const page = new RegisterPage();
  const plan: EchoPlan = { wasm, board: board.buffer, page: page.buffer, options };
  const worker = new Worker(new URL("./echo-device-worker.ts", import.meta.url), { workerData: plan });
  const gone = once(worker, "exit").then(() => board.setState(1, "dead"));
  await once(worker, "message");
  const transport = new RegisterTransport({
    memory,
    page,
    deviceBell: board.bell(1),
    deviceAlive: () => !board.isGone(1),
    ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }),
  });
  return {
    memory,
    page,
    transport,
    bell: board.bell(0),
    tell: (wish) => worker.postMessage(wish),
    answer: async () => (await once(worker, "message"))[0],
    gone,
    async end() {
      worker.postMessage({ kind: "end" } satisfies EchoWish);
      await gone;
    },
  };
}
