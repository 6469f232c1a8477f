/**
 * Lent buffers, in every phase of a connection's life, against a model: no lent buffer is written, freed, kept for ever or
 * returned twice, and the stream is exact. The device takes packets when it likes and completes them in any order.
 */
import { type DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { VirtualClock } from "@toril/virtio/testing";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { HOST_CID, port } from "../address.ts";
import { type RawPacket, RawVsockDevice } from "../testing/index.ts";
import { TRANSPORT_RESET } from "../wire/event.ts";
import { Op } from "../wire/ops.ts";
import type { BufferSlice, VsockConnection, VsockDriver } from "./api.ts";
import { createVsockDriver } from "./create.ts";
import { ZERO_COPY_MIN } from "./outgoing.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 120_000 });

const BUFFER_SIZES = [700, 5000, 70_000, 150_000];
const CONNECTIONS = 2;
const WINDOW = 20_000;

/** A run of the stream that was lent. */
interface LentRun {
  readonly buffer: DmaBuffer;
  readonly start: number;
  readonly end: number;
}

interface ModelLoan {
  readonly runs: readonly LentRun[];
  /** How often it must be told, and has been. */
  readonly wantsCall: boolean;
  calls: number;
}

interface Held {
  readonly packet: RawPacket;
  readonly start: number;
  readonly end: number;
}

/** One connection, as the model knows it. */
class Line {
  readonly connection: VsockConnection;
  readonly srcPort: number;
  /** All bytes that the connection has taken. */
  readonly stream: number[] = [];
  readonly loans: ModelLoan[] = [];
  /** Bytes that the device has taken from the ring. */
  position = 0;
  fwdCnt = 0;
  held: Held[] = [];
  /** What was queued will never be sent. */
  dropped = false;

  constructor(connection: VsockConnection, srcPort: number) {
    this.connection = connection;
    this.srcPort = srcPort;
  }

  isLent(run: LentRun): boolean {
    const queued = !this.dropped && this.connection.status !== "closed" && run.end > this.position;
    return queued || this.held.some((held) => held.start < run.end && run.start < held.end);
  }

  isOver(loan: ModelLoan): boolean {
    return !loan.runs.some((run) => this.isLent(run));
  }
}

const part = fc.record({
  buffer: fc.nat(3),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.oneof({ weight: 3, arbitrary: fc.nat(9000) }, fc.nat(90_000)),
});
const line = fc.nat(CONNECTIONS - 1);
const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant("lend" as const),
      line,
      parts: fc.array(part, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 20, arbitrary: fc.record({ kind: fc.constant("lend-one" as const), line, part, callback: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("copy" as const), line, length: fc.integer({ min: 1, max: 3000 }) }),
  },
  { weight: 25, arbitrary: fc.record({ kind: fc.constant("complete" as const), line, which: fc.nat() }) },
  {
    weight: 25,
    arbitrary: fc.record({
      kind: fc.constant("credit" as const),
      line,
      consumed: fc.double({ min: 0, max: 1, noNaN: true }),
      window: fc.integer({ min: 0, max: 150_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("shutdown-send", "close", "abort", "peer-reset", "peer-refuses", "peer-ends-both"),
      line,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("timers", "transport-reset") }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly device = new RawVsockDevice({ queueSize: 16 });
  readonly clock = new VirtualClock();
  readonly heap: Heap;
  readonly host: DeviceHost;
  readonly buffers: DmaBuffer[] = [];
  readonly lines: Line[] = [];
  driver!: VsockDriver;

  txSegments = 2;

  constructor() {
    const memory = GuestMemory.allocate({ size: 4 * 1024 * 1024 });
    this.heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
    this.host = new DeviceHost({ device: this.device, memory });
  }

  async start(txSegments: number): Promise<void> {
    this.txSegments = txSegments;
    this.driver = await createVsockDriver({
      ...{ transport: new InProcessTransport(this.host), allocator: this.heap, clock: this.clock },
      ...{ txPath: "zero-copy", txSegments, txMemory: 200_000, rxBuffers: 4, rxBufferSize: 512, queueSize: 16 },
    });
    for (const [i, size] of BUFFER_SIZES.entries()) {
      const buffer = this.heap.allocateDma(size);
      if (buffer === undefined) throw new Error("no memory");
      buffer.writable.set(Uint8Array.from({ length: size }, (_, at) => byteOf(i, at)));
      this.buffers.push(buffer);
    }
    for (let i = 0; i < CONNECTIONS; i++) {
      const connection = this.driver.connect({ cid: HOST_CID, port: port(7) }, { localPort: port(1000 + i) });
      this.driver.poll();
      this.device.take();
      this.device.send({ op: Op.Response, srcPort: 7, dstPort: 1000 + i, bufAlloc: WINDOW });
      this.driver.poll();
      this.lines.push(new Line(connection, 1000 + i));
    }
  }

  async run(what: Step): Promise<void> {
    if ("line" in what) this.#runOn(this.lines[what.line] as Line, what);
    else if (what.kind === "timers") this.clock.advance(10_000);
    else this.device.sendEvent(TRANSPORT_RESET);
    for (let i = 0; i < 6; i++) await undefined; // the guest CID is read again
    this.check();
  }

  #runOn(on: Line, what: Extract<Step, { line: number }>): void {
    const { connection, srcPort } = on;
    switch (what.kind) {
      case "lend":
        this.#send(
          on,
          what.parts.map((wanted) => this.#slice(wanted)),
          "list",
          true,
        );
        return;
      case "lend-one":
        this.#send(on, [this.#slice(what.part)], "one", what.callback);
        return;
      case "copy": {
        const bytes = Uint8Array.from({ length: what.length }, (_, i) => i * 3);
        const count = connection.trySend(bytes);
        for (let i = 0; i < count; i++) on.stream.push(bytes[i] ?? 0);
        return;
      }
      case "complete": {
        const [done] = on.held.splice(what.which % Math.max(1, on.held.length), 1);
        if (done === undefined) return;
        // Nobody has touched it while the device had it: not the user's buffer, not the packet's memory.
        expect(done.packet.reread()).toEqual(done.packet.payload);
        this.device.complete(done.packet.head);
        return;
      }
      case "credit":
        on.fwdCnt += Math.floor((on.position - on.fwdCnt) * what.consumed);
        this.#receive(srcPort, { op: Op.CreditUpdate, fwdCnt: on.fwdCnt, bufAlloc: what.window });
        return;
      case "shutdown-send":
        connection.shutdown("send");
        return;
      case "close":
        connection.close();
        return;
      case "abort":
        connection.abort();
        return;
      case "peer-reset":
        this.#receive(srcPort, { op: Op.Rst });
        return;
      case "peer-refuses":
      case "peer-ends-both":
        on.dropped = true;
        this.#receive(srcPort, { op: Op.Shutdown, flags: what.kind === "peer-refuses" ? 1 : 3, fwdCnt: on.fwdCnt });
        return;
      default:
        what satisfies never;
    }
  }

  #receive(srcPort: number, fields: object): void {
    this.device.send({ srcPort: 7, dstPort: srcPort, bufAlloc: WINDOW, ...fields });
  }

  #slice(wanted: { buffer: number; from: number; length: number }): BufferSlice {
    const buffer = this.buffers[wanted.buffer] as DmaBuffer;
    const offset = Math.floor(wanted.from * buffer.length);
    return { buffer, offset, length: Math.min(wanted.length, buffer.length - offset) };
  }

  #send(on: Line, parts: readonly BufferSlice[], form: "one" | "list", wantsCall: boolean): void {
    const { connection } = on;
    const loan = { runs: [] as LentRun[], wantsCall, calls: 0 };
    const callback = wantsCall ? () => void loan.calls++ : undefined;
    const made = connection.loansMade;
    const [first] = parts as [BufferSlice];
    const count =
      form === "one"
        ? connection.trySendBuffer(first.buffer, first.offset, first.length, callback)
        : connection.trySendBuffers(parts, 0, callback);
    if (count < 0) {
      expect([connection.loansMade, loan.calls]).toEqual([made, 0]);
      return;
    }
    let left = count;
    for (const [n, { buffer, offset, length }] of parts.entries()) {
      const taken = Math.min(left, length);
      left -= taken;
      const start = on.stream.length;
      const i = this.buffers.indexOf(buffer);
      for (let at = 0; at < taken; at++) on.stream.push(byteOf(i, offset + at));
      // What is short is copied, unless it is the end of what is lent and can share a packet.
      const isEnd = loan.runs.length > 0 && n === parts.length - 1 && this.txSegments > 2;
      const lent = length >= ZERO_COPY_MIN || isEnd;
      if (lent && taken > 0) loan.runs.push({ buffer, start, end: start + taken });
    }
    if (connection.loansMade > made) on.loans.push(loan);
    else expect(loan.calls).toBe(wantsCall ? 1 : 0); // copied: back at once
  }

  /** Takes what is in the ring, and compares everything with the model. */
  check(): void {
    this.driver.poll();
    for (const packet of this.device.take("keep")) {
      const on = this.lines.find(({ srcPort }) => srcPort === packet.srcPort);
      if (packet.op !== Op.Rw || on === undefined) {
        this.device.complete(packet.head);
        continue;
      }
      const end = on.position + packet.len;
      expect(packet.payload).toEqual(Uint8Array.from(on.stream.slice(on.position, end)));
      on.held.push({ packet, start: on.position, end });
      on.position = end;
    }
    this.driver.poll();
    const lent = new Set<DmaBuffer>();
    for (const on of this.lines) {
      for (const loan of on.loans) {
        const isOver = on.isOver(loan);
        if (loan.wantsCall) expect(loan.calls).toBe(isOver ? 1 : 0);
        for (const run of loan.runs) if (on.isLent(run)) lent.add(run.buffer);
      }
      const waiting = on.loans.findIndex((loan) => !on.isOver(loan));
      expect(on.connection.loansMade).toBe(on.loans.length);
      expect(on.connection.loansReturned).toBe(waiting < 0 ? on.loans.length : waiting);
    }
    for (const buffer of this.buffers) expect(buffer.state).toBe(lent.has(buffer) ? "lent-to-read" : "owned");
  }

  /** Everything comes back, and nothing is left of the driver. */
  async finish(order: readonly number[], lastWish: "complete" | "reset"): Promise<void> {
    if (lastWish === "complete") {
      for (const on of this.lines) on.connection.abort();
      for (const at of order) for (const on of this.lines) this.#runOn(on, { kind: "complete", line: 0, which: at });
      while (this.lines.some(({ held }) => held.length > 0)) {
        for (const on of this.lines) this.#runOn(on, { kind: "complete", line: 0, which: 0 });
      }
      this.check();
      for (const buffer of this.buffers) expect(buffer.state).toBe("owned");
    }
    await this.driver.close();
    for (const { connection, loans } of this.lines) {
      expect(connection.loansReturned).toBe(connection.loansMade);
      for (const loan of loans) expect(loan.calls).toBe(loan.wantsCall ? 1 : 0);
    }
    for (const [i, buffer] of this.buffers.entries()) {
      expect(buffer.bytes.every((byte, at) => byte === byteOf(i, at))).toBe(true);
      buffer.free(); // throws while it is lent
    }
    expect(this.heap.stats().blocksInUse).toBe(0);
  }
}

function byteOf(buffer: number, at: number): number {
  return (buffer * 41 + at * 7 + (at >>> 8)) & 0xff;
}

test.each([2, 6])("lent buffers, at most %i descriptors in a packet: a model", async (txSegments) => {
  const runs = fc.asyncProperty(
    fc.array(step, { maxLength: 60 }),
    fc.array(fc.nat(), { maxLength: 12 }),
    fc.constantFrom("complete" as const, "reset" as const),
    async (steps, order, lastWish) => {
      const world = new World();
      await world.start(txSegments);
      for (const one of steps) await world.run(one);
      await world.finish(order, lastWish);
    },
  );
  await fc.assert(runs, { numRuns: Number(process.env["TORIL_MODEL_RUNS"] ?? 20) });
});

test("loans that end out of order: each callback at once, the count in order", async () => {
  const world = new World();
  await world.start(2);
  const [on] = world.lines as [Line];
  const [, , buffer] = world.buffers as [DmaBuffer, DmaBuffer, DmaBuffer];
  const told: number[] = [];
  for (let i = 0; i < 3; i++) on.connection.trySendBuffer(buffer, i * 5000, 5000, () => told.push(i));
  const packets = world.device.take("keep");
  expect([packets.length, on.connection.loansMade]).toEqual([3, 3]);
  const counts: number[] = [];
  for (const at of [1, 0, 2]) {
    world.device.complete(packets[at]?.head ?? -1);
    world.driver.poll();
    counts.push(on.connection.loansReturned);
  }
  expect(told).toEqual([1, 0, 2]);
  expect(counts).toEqual([0, 2, 3]);
  expect(buffer.state).toBe("owned");
});

test("a list of parts shares a packet as far as descriptors allow, and goes on from where it stopped", async () => {
  const world = new World();
  await world.start(4); // a header and three runs
  const [on] = world.lines as [Line];
  const [, , buffer, other] = world.buffers as [DmaBuffer, DmaBuffer, DmaBuffer, DmaBuffer];
  const parts = [
    { buffer, offset: 0, length: 6000 },
    { buffer: other, offset: 100, length: 4500 },
    { buffer, offset: 7000, length: 4096 },
    { buffer: other, offset: 9, length: 4300 },
    { buffer, offset: 0, length: 100 }, // too short to be lent: it is copied
  ];
  expect(on.connection.trySendBuffers(parts, 500)).toBe(18_496);
  expect([on.connection.loansMade, buffer.state, other.state]).toEqual([1, "lent-to-read", "lent-to-read"]);
  const packets = world.device.take();
  expect(packets.map(({ segments, len }) => [segments, len])).toEqual([
    [4, 5500 + 4500 + 4096],
    [3, 4300 + 100],
  ]);
  const expected = parts.flatMap((p) => [...p.buffer.bytes.subarray(p.offset, p.offset + p.length)]).slice(500);
  expect(packets.flatMap(({ payload }) => [...payload])).toEqual(expected);
  world.driver.poll();
  expect([on.connection.loansReturned, buffer.state, other.state]).toEqual([1, "owned", "owned"]);
});

test("the caller's bugs are told before anything is taken", async () => {
  const world = new World();
  await world.start(4);
  const [on] = world.lines as [Line];
  const [small, buffer] = world.buffers as [DmaBuffer, DmaBuffer];
  const good = { buffer, offset: 0, length: 2000 };
  expect(() => on.connection.trySendBuffers([good, { buffer: small, offset: 1, length: 700 }], 0)).toThrow(RangeError);
  expect(() => on.connection.trySendBuffers([good], 2001)).toThrow(RangeError);
  small.free();
  expect(() => on.connection.trySendBuffers([good, { buffer: small, offset: 0, length: 1 }], 0)).toThrow("freed");
  expect([buffer.state, on.connection.loansMade, world.device.take().length]).toEqual(["owned", 0, 0]);
});
