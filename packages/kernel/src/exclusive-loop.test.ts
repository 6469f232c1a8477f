import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { GuestMemory, guestAddress } from "@toril/memory";
import { afterEach, describe, expect, it } from "vitest";
import type { CoreWorkerData } from "../test/core-worker.ts";
import { type BootedCore, bootCore } from "./boot.ts";
import { busShape } from "./bus-layout.ts";
import { Core } from "./core.ts";
import { CoreBoard } from "./core-board.ts";
import { runExclusive } from "./exclusive-loop.ts";
import { type HostLoop, type RunningLoop, runHosted } from "./hosted-loop.ts";
import { ADAPTIVE_SPIN } from "./idle-policy.ts";
import type { PlainSystem } from "./thread-calls.ts";
import { WakeWord } from "./wake-word.ts";

const host: HostLoop = {
  turn: (callback) => void setImmediate(callback),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, Math.min(milliseconds, 2 ** 31 - 1));
    return { cancel: () => clearTimeout(timer) };
  },
};
const workerFile = new URL("../test/core-worker.ts", import.meta.url);
const programs = new URL("../test/programs.ts", import.meta.url).href;

interface Outcome {
  readonly outcome: string;
  readonly microseconds: number;
  readonly idle: { readonly waits: number; readonly spinHits: number };
}

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Shared memory, a board with its supervisor, and whichever cores a test starts. */
function machine(cores: number) {
  const memory = GuestMemory.allocate({ size: 8 << 20, sharing: "shared" });
  const board = CoreBoard.create(cores);
  const bus = { shape: busShape(cores), base: guestAddress(0) };
  const startWorker = (id: number, pings = 0): { worker: Worker; outcome: Promise<Outcome> } => {
    const data: CoreWorkerData = { id, wasm: memory.wasm as object, board: board.buffer, bus, pings };
    const worker = new Worker(workerFile, { workerData: data });
    // The supervisor: a thread that is gone without having said so is dead.
    worker.on("exit", () => board.setState(id, "dead"));
    cleanUps.push(() => worker.terminate());
    return { worker, outcome: once(worker, "message").then(([message]) => message as Outcome) };
  };
  const startHosted = (id: number): { booted: BootedCore<PlainSystem>; loop: RunningLoop } => {
    const booted = bootCore<PlainSystem>({
      id,
      memory,
      heap: { base: guestAddress((1 + id) << 20), size: 1 << 20 },
      neighbours: { board, bus },
      now: () => performance.now(),
      system: (threads) => ({ threads }),
    });
    const loop = runHosted(booted.core, { host, spin: ADAPTIVE_SPIN });
    cleanUps.push(() => {
      loop.stop();
      return loop.ended;
    });
    return { booted, loop };
  };
  return { board, startWorker, startHosted };
}

describe("exclusive cores in worker threads", { timeout: 30_000 }, () => {
  it("two of them ping each other over the bus, and stop when asked", async () => {
    const { board, startWorker } = machine(2);
    const pong = startWorker(0);
    const ping = startWorker(1, 2_000);
    expect((await ping.outcome).outcome).toBe("returned");
    board.requestStop(0);
    expect((await pong.outcome).outcome).toBe("cancelled");
    expect([board.state(0), board.state(1)]).toEqual(["stopped", "stopped"]);
  });

  it("a hosted core pings one", async () => {
    const { startWorker, startHosted } = machine(2);
    startWorker(1);
    const { booted } = startHosted(0);
    const thread = booted.core.spawn(async ({ threads }) => {
      const calls = booted.bus?.callsFor(threads);
      for (let i = 0; i < 500; i++) {
        await calls?.send(1, Uint8Array.of(i & 0xff, 7));
        expect((await calls?.receive())?.bytes).toEqual(Uint8Array.of(i & 0xff, 7));
        if (i % 100 === 0) await threads.sleep(2); // long enough for the other core to fall asleep
      }
    });
    expect(await thread.ended).toMatchObject({ kind: "returned" });
  });

  it("runs a thread for another core: the module is loaded there, its sleep ends, its result comes back", async () => {
    const { startWorker, startHosted } = machine(2);
    startWorker(1);
    const { booted } = startHosted(0);
    const thread = booted.core.spawn(async ({ threads }) => {
      const remote = await threads.spawnOn(1, { module: programs, args: { sleepMs: 20 } });
      return threads.join(remote);
    });
    expect(await thread.ended).toMatchObject({ value: { value: { core: 1, slept: true } } });
  });

  it("one that is killed while another joins a thread of it: the join ends with EHOSTDOWN", async () => {
    const { startWorker, startHosted, board } = machine(2);
    const { worker } = startWorker(1);
    const { booted } = startHosted(0);
    const thread = booted.core.spawn(async ({ threads }) => {
      const remote = await threads.spawnOn(1, { module: programs, export: "sleepsForEver" });
      threads.spawn(() => void worker.terminate());
      return threads.join(remote);
    });
    expect(await thread.ended).toMatchObject({ kind: "failed", error: { code: "EHOSTDOWN" } });
    expect(board.state(1)).toBe("dead");
  });
});

describe("runExclusive", () => {
  const create = () => {
    const bell = new WakeWord(new Int32Array(new SharedArrayBuffer(8)));
    const core = new Core<PlainSystem>({
      id: 0,
      now: () => performance.now(),
      bell,
      system: (threads) => ({ threads }),
    });
    const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    return { bell, core, drained };
  };

  it("blocks until a timer is due, and ends when it is stopped", async () => {
    const { bell, core, drained } = create();
    const loop = runExclusive(core, { bell, drained });
    const thread = core.spawn(async ({ threads }) => {
      // On a busy machine a timer may be due as soon as the loop looks: one wait among many is sure.
      for (let i = 0; i < 10; i++) await threads.sleep(10);
      loop.stop();
      return "slept";
    });
    await loop.ended;
    expect(thread.exit).toEqual({ kind: "returned", value: "slept" });
    expect(loop.idle.waits).toBeGreaterThanOrEqual(1);
  });

  it("does not block while a thread can go on by itself, however many awaits that takes", async () => {
    const { bell, core, drained } = create();
    const loop = runExclusive(core, { bell, drained });
    core.spawn(async () => {
      for (let i = 0; i < 20_000; i++) await undefined;
      loop.stop();
    });
    await loop.ended; // no timer is set: a loop that blocks here would never end
  });

  it("lets the engine's event loop run while somebody waits for it", async () => {
    const { bell, core, drained } = create();
    const loop = runExclusive(core, { bell, drained });
    core.spawn(async () => {
      await core.external(new Promise((resolve) => setTimeout(resolve, 10)));
      loop.stop();
    });
    await loop.ended;
  });

  it("refuses a bell that is not the core's", () => {
    const { core, drained } = create();
    const other = new WakeWord(new Int32Array(new SharedArrayBuffer(8)));
    expect(() => runExclusive(core, { bell: other, drained })).toThrow(/another bell/);
  });
});
