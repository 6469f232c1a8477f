/**
 * Driver and device over real rings, polled in any order, with tiny rings, windows and buffers, counters near the wrap,
 * many connections at a time. Every stream must arrive exact, both ways, and nothing may be left over.
 */
import { RING_FEATURES } from "@toril/virtio";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HOST_CID, type Port, port } from "./address.ts";
import type { GuestBytes, GuestStream, HostHandler } from "./device/api.ts";
import type { ReceivedBytes, TxPath, VsockConnection } from "./driver/api.ts";
import { createLoopback, type Loopback } from "./testing/index.ts";

/** A small generator of its own: each run is one seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const byteAt = (salt: number, position: number): number => (salt * 31 + position * 7 + (position >>> 8)) & 0xff;

function bytesAt(salt: number, position: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => byteAt(salt, position + i));
}

/** Checks a stream as it comes, whatever its segmentation. */
class Checker {
  readonly salt: number;
  position = 0;
  constructor(salt: number) {
    this.salt = salt;
  }
  take(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== byteAt(this.salt, this.position + i)) throw new Error(`byte ${this.position + i} is wrong`);
    }
    this.position += bytes.length;
  }
}

class HostUser implements HostHandler {
  readonly stream: GuestStream;
  readonly checker: Checker;
  readonly #salt: number;
  readonly #total: number;
  readonly #next: (below: number) => number;
  #sent = 0;
  held: GuestBytes[] = [];
  ended = false;
  errno: number | undefined;

  constructor(stream: GuestStream, id: number, total: number, next: (below: number) => number) {
    this.stream = stream;
    this.checker = new Checker(id);
    this.#salt = id + 1000;
    this.#total = total;
    this.#next = next;
  }
  data(chunk: GuestBytes): void {
    if (this.ended) throw new Error("data after end");
    this.checker.take(chunk.bytes);
    if (this.#next(3) === 0) chunk.release();
    else this.held.push(chunk);
  }
  end(): void {
    this.ended = true;
  }
  drain(): void {}
  closed(errno: number): void {
    if (this.errno !== undefined) throw new Error("closed twice");
    this.errno = errno;
  }
  work(most: number): void {
    if (this.errno === undefined && this.#sent < this.#total) {
      const bytes = bytesAt(this.#salt, this.#sent, Math.min(most, this.#total - this.#sent));
      this.#sent += this.stream.write(bytes);
      if (this.#sent === this.#total) this.stream.end();
    }
    const at = this.held.length > 0 ? this.#next(this.held.length) : 0;
    this.held.splice(at, 1)[0]?.release(); // in any order
  }
  get done(): boolean {
    return this.errno !== undefined && this.held.length === 0;
  }
}

class GuestUser {
  readonly connection: VsockConnection;
  readonly checker: Checker;
  readonly #salt: number;
  readonly #total: number;
  readonly #next: (below: number) => number;
  readonly #loop: Loopback;
  readonly #borrowed: ReceivedBytes[] = [];
  #sent = 0;
  loans = 0;
  sawEnd = false;

  constructor(loop: Loopback, connection: VsockConnection, id: number, total: number, next: (below: number) => number) {
    this.#loop = loop;
    this.connection = connection;
    this.checker = new Checker(id + 1000);
    this.#salt = id;
    this.#total = total;
    this.#next = next;
  }
  work(most: number): void {
    if (this.connection.status === "established") this.#send(most);
    this.#receive(most);
    if (this.#next(3) === 0) this.#borrowed.shift()?.release();
  }
  #send(most: number): void {
    if (this.#sent === this.#total) return;
    const bytes = bytesAt(this.#salt, this.#sent, Math.min(most, this.#total - this.#sent));
    let taken = 0;
    const buffer = this.#next(2) === 0 ? this.#loop.heap.allocateDma(bytes.length + 8) : undefined;
    if (buffer === undefined) {
      taken = this.connection.trySend(bytes);
    } else {
      buffer.writable.set(bytes, 8);
      this.loans++;
      taken = this.connection.trySendBuffer(buffer, 8, bytes.length, () => {
        this.loans--;
        buffer.writable.fill(0xee); // nobody may be reading it any more
        buffer.free();
      });
      if (taken < 0) {
        this.loans--;
        buffer.free();
      }
    }
    if (taken > 0) this.#sent += taken;
    if (this.#sent === this.#total) this.connection.shutdown("send");
  }
  #receive(most: number): void {
    if (this.#next(2) === 0) {
      const run = this.connection.tryBorrow();
      if (run === undefined) this.sawEnd = true;
      else if (typeof run === "object") {
        this.checker.take(run.bytes);
        this.#borrowed.push(run);
      }
      return;
    }
    const target = new Uint8Array(most);
    if (this.#next(4) === 0) this.connection.tryPeek(target);
    const count = this.connection.tryRecv(target);
    if (count > 0) this.checker.take(target.subarray(0, count));
    if (count === 0) this.sawEnd = true;
  }
  get done(): boolean {
    return this.connection.status === "closed" && this.sawEnd && this.#borrowed.length === 0 && this.loans === 0;
  }
  releaseOne(): void {
    this.#borrowed.shift()?.release();
  }
}

const scenario = fc.record({
  seed: fc.integer({ min: 1, max: 0x7fff_ffff }),
  txPath: fc.constantFrom<TxPath>("two-copy", "one-copy", "zero-copy"),
  queueSize: fc.constantFrom(2, 4, 8, 64),
  rxBuffers: fc.integer({ min: 1, max: 6 }),
  rxBufferSize: fc.constantFrom(1, 50, 4096),
  guestWindow: fc.constantFrom(1, 100, 3000, 65_536, 262_144),
  hostWindow: fc.constantFrom(1, 100, 3000, 65_536, 262_144),
  txMemory: fc.constantFrom(1, 10_000, 1_000_000),
  txSegments: fc.constantFrom(2, 3, 17),
  txHeadsPerConnection: fc.integer({ min: 0, max: 3 }),
  queueBytes: fc.constantFrom(1, 1000, 65_536),
  counterStart: fc.constantFrom(0, 0xffff_fff0),
  ringFeatures: fc.constantFrom(0n, 1n << 28n, 1n << 29n, RING_FEATURES),
  connections: fc.integer({ min: 1, max: 6 }),
});

describe("§5.10.6 driver and device, any order, any size", () => {
  test("every stream arrives exact, in order, and all is given back", async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async (s) => {
        const next = random(s.seed);
        const { seed: _, guestWindow, hostWindow, connections, ringFeatures, ...both } = s;
        const loop = await createLoopback({
          ringFeatures,
          memory: 4 * 1024 * 1024,
          driver: { ...both, bufAlloc: guestWindow },
          device: { ...both, bufAlloc: hostWindow },
        });
        const small = Math.min(guestWindow, hostWindow, s.rxBufferSize * 40) < 200;
        const total = (): number => 1 + next(small ? 200 : 20_000);
        const guests: GuestUser[] = [];
        const hosts: HostUser[] = [];
        loop.device.listen("any", (stream) => {
          const host = new HostUser(stream, stream.guestPort, total(), next);
          hosts.push(host);
          return host;
        });
        const listener = loop.driver.listen(port(99), 64);
        for (let i = 0; i < connections; i++) {
          if (next(2) === 0) {
            const connection = loop.driver.connect({ cid: HOST_CID, port: port(5) });
            guests.push(new GuestUser(loop, connection, connection.local.port, total(), next));
          } else {
            loop.device.connect(port(99) as Port, (stream) => {
              const host = new HostUser(stream, stream.hostPort, total(), next);
              hosts.push(host);
              return host;
            });
          }
        }
        const most = small ? 120 : 12_000;
        let rounds = 0;
        let before = -1;
        while (guests.length < connections || ![...guests, ...hosts].every((user) => user.done)) {
          if (++rounds % 20_000 === 0) {
            const progress = [...guests, ...hosts].reduce((sum, user) => sum + user.checker.position, 0);
            if (progress === before) throw new Error(`nothing moves any more: ${progress} bytes have arrived`);
            before = progress;
          }
          const accepted = listener.tryAccept();
          if (accepted !== undefined) guests.push(new GuestUser(loop, accepted, accepted.peer.port, total(), next));
          const who = next(4);
          if (who === 0) loop.driver.poll();
          else if (who === 1) loop.host.poll();
          else if (who === 2) guests[next(guests.length || 1)]?.work(1 + next(most));
          else hosts[next(hosts.length || 1)]?.work(1 + next(most));
          if (rounds % 50 === 0) loop.clock?.advance(25);
        }
        for (const guest of guests) expect(guest.connection.error).toBe(0);
        for (const host of hosts) expect(host.errno).toBe(0);
        loop.settle();
        expect(loop.driver.stats.connectionsOpen + loop.device.stats.connectionsOpen).toBe(0);
        expect(loop.device.stats.headsHeld).toBe(0);
        expect(loop.driver.failure).toBeUndefined();
        await loop.driver.close();
        expect(loop.heap.stats().blocksInUse).toBe(0);
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});
