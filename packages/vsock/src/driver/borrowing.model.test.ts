/**
 * Borrowed receive buffers against a model: what a user borrows stays as it came until released, in whatever order that
 * is, also after the connection was closed; the stream is exact; credit returns for what was consumed, and for nothing else; and
 * every buffer finds its way back to the ring.
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { VirtualClock } from "@toril/virtio/testing";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { HOST_CID, port } from "../address.ts";
import { RawVsockDevice } from "../testing/index.ts";
import { Op } from "../wire/ops.ts";
import type { VsockConnection, VsockDriver } from "./api.ts";
import { BorrowedBytes } from "./borrowed-bytes.ts";
import { createVsockDriver } from "./create.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 120_000 });

const RX_BUFFERS = 8;
const RX_SIZE = 512;
const WINDOW = 6000;
const LOCAL = 1000;

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("packet" as const), length: fc.integer({ min: 1, max: RX_SIZE }) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("borrow" as const, "borrow-into" as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("release" as const), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("recv" as const, "peek" as const),
      length: fc.integer({ min: 1, max: 900 }),
    }),
  },
);
const ending = fc.constantFrom("close", "abort", "peer-reset", "shutdown-receive", "driver-close");

/** A run that the user holds, and what it must say until it is released. */
interface HeldRun {
  readonly run: { readonly bytes: Uint8Array; readonly length: number; release(): void };
  readonly start: number;
}

class World {
  readonly device = new RawVsockDevice({ queueSize: 16 });
  readonly heap: Heap;
  readonly host: DeviceHost;
  driver!: VsockDriver;
  connection!: VsockConnection;
  /** The stream: bytes that came, and how far the user is. */
  came = 0;
  taken = 0;
  consumed = 0;
  /** What the driver has told the peer. */
  fwdCnt = 0;
  held: HeldRun[] = [];

  constructor() {
    const memory = GuestMemory.allocate({ size: 1024 * 1024 });
    this.heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
    this.host = new DeviceHost({ device: this.device, memory });
  }

  async start(): Promise<void> {
    const transport = new InProcessTransport(this.host);
    this.driver = await createVsockDriver({
      ...{ transport, allocator: this.heap, clock: new VirtualClock(), closeTimeoutMs: 100 },
      ...{ rxBuffers: RX_BUFFERS, rxBufferSize: RX_SIZE, bufAlloc: WINDOW, queueSize: 16 },
    });
    this.connection = this.driver.connect({ cid: HOST_CID, port: port(7) }, { localPort: port(LOCAL) });
    this.driver.poll();
    this.device.take();
    this.device.send({ op: Op.Response, srcPort: 7, dstPort: LOCAL });
    this.driver.poll();
  }

  run(what: typeof step extends fc.Arbitrary<infer T> ? T : never): void {
    switch (what.kind) {
      case "packet": {
        // Within the credit that the driver has given, as a peer must.
        const length = Math.min(what.length, this.fwdCnt + WINDOW - this.came);
        const payload = Uint8Array.from({ length }, (_, i) => byteAt(this.came + i));
        if (length > 0 && this.device.send({ op: Op.Rw, srcPort: 7, dstPort: LOCAL }, payload)) this.came += length;
        break;
      }
      case "borrow": {
        const run = this.connection.tryBorrow();
        if (typeof run === "object") this.#borrowed(run);
        break;
      }
      case "borrow-into": {
        const run = new BorrowedBytes();
        if (this.connection.tryBorrowInto(run) <= 0) break;
        expect(() => this.connection.tryBorrowInto(run)).toThrow("still holds");
        this.#borrowed(run);
        break;
      }
      case "release":
        this.release(what.which);
        break;
      case "recv":
      case "peek": {
        const target = new Uint8Array(what.length);
        const recv = what.kind === "recv";
        const count = recv ? this.connection.tryRecv(target) : this.connection.tryPeek(target);
        if (count <= 0) break;
        for (let i = 0; i < count; i++) expect(target[i]).toBe(byteAt(this.taken + i));
        if (recv) this.taken += count;
        if (recv) this.consumed += count;
        break;
      }
      default:
        what satisfies never;
    }
    this.check();
  }

  #borrowed(run: HeldRun["run"]): void {
    this.held.push({ run, start: this.taken });
    this.taken += run.length;
  }

  release(which: number): void {
    const [done] = this.held.splice(which % Math.max(1, this.held.length), 1);
    if (done === undefined) return;
    this.consumed += done.run.length;
    done.run.release();
    expect(() => done.run.release()).toThrow("twice");
    expect(() => done.run.bytes).toThrow("released");
  }

  check(): void {
    this.driver.poll();
    for (const packet of this.device.take()) this.fwdCnt = packet.fwdCnt;
    for (const { run, start } of this.held) {
      for (let i = 0; i < run.length; i++)
        if (run.bytes[i] !== byteAt(start + i)) throw new Error("a borrowed byte changed");
    }
    expect(this.fwdCnt).toBeLessThanOrEqual(this.consumed);
    expect(this.connection.readable).toBe(this.came - this.taken);
  }
}

function byteAt(position: number): number {
  return (position * 11 + (position >>> 8)) & 0xff;
}

test("borrowed bytes: a model", async () => {
  const steps = fc.array(step, { maxLength: 80 });
  const runs = fc.asyncProperty(steps, ending, fc.array(fc.nat(), { maxLength: 8 }), async (todo, end, order) => {
    const world = new World();
    await world.start();
    for (const one of todo) world.run(one);
    const { connection, driver, device } = world;
    if (end === "close") connection.close();
    else if (end === "abort") connection.abort();
    else if (end === "shutdown-receive") connection.shutdown("receive");
    else if (end === "peer-reset") device.send({ op: Op.Rst, srcPort: 7, dstPort: LOCAL });
    else await driver.close();
    driver.poll();
    // What is borrowed outlives the connection, and even the driver.
    for (const { run, start } of world.held) expect(run.bytes[0]).toBe(byteAt(start));
    for (const which of order) world.release(which);
    while (world.held.length > 0) world.release(0);
    if (end !== "driver-close") {
      if (end === "peer-reset") connection.close(); // what was not read goes now
      driver.poll();
      device.take();
      // Every buffer is back in the ring: the device can fill as many as there are.
      let filled = 0;
      while (device.send({ op: Op.Rw, srcPort: 99, dstPort: 99 })) filled++;
      expect(filled).toBe(RX_BUFFERS);
      await driver.close();
    } else {
      connection.close();
    }
    expect(world.heap.stats().blocksInUse).toBe(0);
  });
  await fc.assert(runs, { numRuns: Number(process.env["TORIL_MODEL_RUNS"] ?? 150) });
});
