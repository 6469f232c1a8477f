/** The device against a guest without rules, and against the real driver where many connections matter. */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, DeviceStatus, InProcessTransport } from "@toril/virtio";
import { Errno } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guestCid, HOST_CID, type Port, port } from "../address.ts";
import { createLoopback, RawGuest, type RawReceived } from "../testing/index.ts";
import { Op, opName, QueueIndex } from "../wire/ops.ts";
import type { GuestBytes, GuestStream, HostHandler } from "./api.ts";
import type { VsockDeviceOptions } from "./options.ts";
import { VsockDevice } from "./vsock-device.ts";

interface Rig {
  readonly device: VsockDevice;
  readonly guest: RawGuest;
  readonly host: DeviceHost;
  readonly clock: VirtualClock;
}

async function rig(options: Partial<VsockDeviceOptions> & { features?: bigint; ring?: number } = {}): Promise<Rig> {
  const memory = GuestMemory.allocate({ size: 8 * 1024 * 1024 });
  const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  const clock = new VirtualClock();
  const device = new VsockDevice({ closeTimeoutMs: 100, ...options, guestCid: guestCid(3), clock });
  const host = new DeviceHost({ device, memory });
  const transport = new InProcessTransport(host);
  const guest = await RawGuest.create(transport, heap, {
    features: options.features ?? 1n,
    queueSize: options.ring ?? 64,
  });
  return { device, guest, host, clock };
}

const names = (packets: readonly RawReceived[]): string[] => packets.map((packet) => opName(packet.op));
const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 0xff);

/** A handler that keeps everything it is told. */
class Recorder implements HostHandler {
  stream: GuestStream | undefined;
  readonly chunks: GuestBytes[] = [];
  readonly said: string[] = [];
  received: number[] = [];
  opened(): void {
    this.said.push("opened");
  }
  data(chunk: GuestBytes): void {
    this.chunks.push(chunk);
    this.received.push(...chunk.bytes);
  }
  end(): void {
    this.said.push("end");
  }
  receiveEnded(): void {
    this.said.push("receiveEnded");
  }
  drain(): void {
    this.said.push("drain");
  }
  closed(errno: number): void {
    this.said.push(`closed ${errno}`);
  }
  releaseAll(): void {
    for (const chunk of this.chunks.splice(0)) chunk.release();
  }
}

/** A connection from guest port 1000 to host port 7. */
async function connected(r: Rig, window = 65_536, guestPort = 1000): Promise<Recorder> {
  const recorder = new Recorder();
  const stop = r.device.listen(port(7), (stream) => {
    recorder.stream = stream;
    return recorder;
  });
  r.guest.post([4096]);
  r.guest.send({ op: Op.Request, srcPort: guestPort, dstPort: 7, bufAlloc: window });
  r.host.poll();
  expect(names(r.guest.receive())).toEqual(["RESPONSE"]);
  stop();
  r.guest.reclaim();
  return recorder;
}

describe("§5.10.3 and §5.10.4", () => {
  test("offers STREAM and NO_IMPLIED_STREAM, and refuses the second without the first", async () => {
    const { device } = await rig();
    expect(device.offeredFeatures).toBe(0b101n);
    await expect(rig({ features: 0b100n })).rejects.toThrow(/refused/);
    await expect(rig({ features: 0n })).resolves.toBeDefined();
    expect([...device.readConfig()]).toEqual([3, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe("§2.7.4 any chain shape", () => {
  test.each([[[144]], [[44, 100]], [[1, 43, 100]], [[20, 24, 50, 50]], [[50, 94]], [[10, 10, 10, 10, 10, 94]]])(
    "TX split as %j",
    async (segments) => {
      const r = await rig();
      const recorder = await connected(r);
      r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(100), segments);
      r.host.poll();
      expect(recorder.received).toEqual([...bytes(100)]);
      expect(r.guest.reclaim()).toBe(0); // the handler has it
      recorder.releaseAll();
      r.host.poll();
      expect(r.guest.reclaim()).toBe(1);
      expect(r.device.stats.bytesInPlace).toBe(100);
    },
  );

  test("the head goes back when all its runs are released, in any order", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(90), [44, 30, 30, 30]);
    r.host.poll();
    const [first, second, third] = recorder.chunks;
    for (const chunk of [third, first]) {
      chunk?.release();
      r.host.poll();
      expect(r.guest.reclaim()).toBe(0);
    }
    second?.release();
    r.host.poll();
    expect(r.guest.reclaim()).toBe(1);
    expect(() => second?.release()).toThrow(/twice/);
  });

  test("RX buffers of any shape, filled to their full size", async () => {
    const r = await rig();
    const recorder = await connected(r);
    expect(recorder.stream?.write(bytes(200))).toBe(200);
    for (const segments of [[20], [10, 30, 44], [44, 60], [1, 200]]) r.guest.post(segments);
    r.host.poll();
    const received = r.guest.receive();
    // Too small for a header: back with nothing.
    expect(received.map((packet) => packet.used)).toEqual([0, 84, 104, 144]);
    expect(received.slice(1).flatMap((packet) => [...packet.payload])).toEqual([...bytes(200)]);
    expect(received[1]).toMatchObject({ op: Op.Rw, len: 40, srcCid: 2, dstCid: 3, srcPort: 7, dstPort: 1000 });
  });
});

describe("§5.10.6 what a guest may send", () => {
  test("RST for a port without handler, a refused one, a stranger, an unknown type or operation; not for RST", async () => {
    const r = await rig();
    r.device.listen(port(8), () => undefined);
    for (let i = 0; i < 8; i++) r.guest.post([100]);
    r.guest.send({ op: Op.Request, srcPort: 1, dstPort: 9 });
    r.guest.send({ op: Op.Request, srcPort: 2, dstPort: 8 });
    r.guest.send({ op: Op.Rw, srcPort: 3, dstPort: 9 }, bytes(3));
    r.guest.send({ op: Op.Request, srcPort: 4, dstPort: 9, type: 2 });
    r.guest.send({ op: 77, srcPort: 5, dstPort: 9 });
    r.guest.send({ op: Op.Rst, srcPort: 6, dstPort: 9 });
    r.host.poll();
    expect(r.guest.receive().map((packet) => [opName(packet.op), packet.dstPort, packet.type])).toEqual([
      ["RST", 1, 1],
      ["RST", 2, 1],
      ["RST", 3, 1],
      ["RST", 4, 2],
      ["RST", 5, 1],
    ]);
    expect(r.guest.reclaim()).toBe(6);
  });

  test("packets from another CID, to another CID, or too short are dropped, and given back", async () => {
    const r = await rig();
    r.guest.post([100]);
    r.guest.send({ op: Op.Request, srcCid: 4 });
    r.guest.send({ op: Op.Rw, dstCid: 5 });
    r.guest.send({ op: Op.Request, dstCidHigh: 1 });
    r.guest.sendBytes(bytes(43));
    r.host.poll();
    expect([r.guest.reclaim(), r.guest.receive().length, r.device.stats.malformedPackets]).toEqual([4, 0, 4]);
  });

  test("a guest that ignores credit is reset", async () => {
    const r = await rig({ bufAlloc: 1000 });
    const recorder = await connected(r);
    for (let i = 0; i < 4; i++) r.guest.post([100]);
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(1000));
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(1));
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
    expect(recorder.said).toEqual(["opened", `closed ${Errno.EPROTO}`]);
  });

  test("a length beyond the chain costs the connection", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.guest.post([100]);
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7, len: 11 }, bytes(10));
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
    expect(recorder.received).toEqual([]);
  });

  test("any bytes in any shape: no exception, no hang, and an honest connection lives on", async () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 2, 3, 7, 1000), fc.integer({ min: 0, max: 0xffff_ffff }));
    const anyPacket = fc.record({
      fields: fc.record(
        {
          ...{ srcPort: word, dstPort: word, len: word, flags: word, bufAlloc: word, fwdCnt: word },
          ...{ op: fc.integer({ min: 0, max: 9 }), type: fc.constantFrom(0, 1, 1, 1, 2) },
        },
        { requiredKeys: [] },
      ),
      payload: fc.integer({ min: 0, max: 100 }),
      cut: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(anyPacket, { maxLength: 40 }), async (packets) => {
        const r = await rig();
        const honest = await connected(r, 65_536, 4711);
        r.device.listen("any", (stream) => {
          const recorder = new Recorder();
          recorder.stream = stream;
          return recorder;
        });
        for (const { fields, payload, cut } of packets) {
          if (fields.srcPort === 4711) continue;
          const total = 44 + payload;
          const segments: number[] = [];
          for (let left = total, i = 0; left > 0; i++) {
            const part = i === cut.length - 1 ? left : Math.min(left, cut[i] ?? left);
            segments.push(part);
            left -= part;
          }
          r.guest.send(fields, bytes(payload), segments);
          if (payload % 3 === 0) r.guest.post([50 + payload]);
          r.host.poll();
          r.guest.reclaim();
          r.guest.receive();
        }
        for (let i = 0; i < 50; i++) r.guest.post([100]);
        for (let i = 0; i < 5; i++) r.host.poll();
        r.guest.send({ op: Op.Rw, srcPort: 4711, dstPort: 7 }, bytes(10));
        r.host.poll();
        expect(honest.received).toEqual([...bytes(10)]);
        expect(r.host.status & 64).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe("§5.10.6.1.2 TX is processed even when RX is full", () => {
  test("data is taken, replies are owed and bounded; then TX waits, and goes on", async () => {
    const r = await rig();
    const recorder = await connected(r);
    let given = 0;
    for (let i = 0; i < 300; i++) {
      if (r.guest.send({ op: Op.Request, srcPort: 2000 + i, dstPort: 9 })) given++;
      r.guest.send({ op: Op.CreditRequest, srcPort: 1000, dstPort: 7 });
      r.host.poll();
      r.guest.reclaim();
    }
    expect(given).toBeLessThan(300); // 64 RSTs owed: the ring is full now, the guest has to give buffers
    expect(r.host.arm()).toBe(false);
    let resets = 0;
    let updates = 0;
    for (let i = 0; i < 300; i++) {
      r.guest.post([44]);
      r.host.poll();
      r.guest.reclaim();
      for (const packet of r.guest.receive()) {
        if (packet.op === Op.Rst) resets++;
        else if (packet.op === Op.CreditUpdate) updates++;
      }
    }
    expect(resets).toBe(given);
    expect(updates).toBeGreaterThan(0);
    expect(updates).toBeLessThan(70);
    expect(recorder.said).toEqual(["opened"]);
  });
});

describe("one stalled connection stops nobody", () => {
  test("its handler holds a few heads, then gets copies within the window; the ring stays free", async () => {
    const r = await rig({ bufAlloc: 10_000, txHeadsPerConnection: 2 });
    const recorder = await connected(r);
    for (let i = 0; i < 100; i++) {
      expect(r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(100, i))).toBe(true);
      r.host.poll();
      r.guest.reclaim();
    }
    expect(r.device.stats).toMatchObject({ headsHeld: 2, bytesInPlace: 200, bytesCopiedToHost: 9800 });
    expect(recorder.chunks).toHaveLength(2);
    // No credit comes back before the handler has released.
    r.guest.post([100]);
    r.host.poll();
    expect(r.guest.receive()).toEqual([]);
    for (let i = 0; i < 20; i++) recorder.releaseAll();
    expect(recorder.received).toEqual(Array.from({ length: 100 }, (_, i) => [...bytes(100, i)]).flat());
    r.host.poll();
    expect(r.guest.receive()).toMatchObject([{ op: Op.CreditUpdate, fwdCnt: 10_000 }]);
    expect(r.device.stats.headsHeld).toBe(0);
  });

  test("a handler that holds one head too long gets copies from then on, until it has caught up", async () => {
    const r = await rig({ holdMs: 5 });
    const recorder = await connected(r);
    const send = (): void => {
      r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(10));
      r.host.poll();
    };
    send();
    r.clock.advance(6);
    send();
    expect(r.device.stats).toMatchObject({ headsHeld: 1, bytesCopiedToHost: 10 });
    recorder.releaseAll();
    send();
    expect(r.device.stats).toMatchObject({ headsHeld: 1, bytesCopiedToHost: 10 });
  });

  test("all stalled connections together hold half of the ring at most", async () => {
    const r = await rig({ ring: 16 });
    r.device.listen(port(7), () => new Recorder());
    for (let i = 0; i < 20; i++) {
      r.guest.post([100]);
      r.guest.send({ op: Op.Request, srcPort: i, dstPort: 7 });
      r.host.poll();
      r.guest.receive();
      r.guest.reclaim();
      r.guest.send({ op: Op.Rw, srcPort: i, dstPort: 7 }, bytes(10), [44, 10]);
      r.host.poll();
      r.guest.reclaim();
    }
    expect(r.device.stats.headsHeld).toBe(4); // of two descriptors each
    expect(r.device.stats.connectionsOpen).toBe(20);
  });

  test("300 stopped clients took all packet memory: what they hold together is bounded in bytes", async () => {
    const r = await rig();
    r.device.listen(port(7), () => new Recorder());
    for (let i = 0; i < 12; i++) {
      r.guest.post([100]);
      r.guest.send({ op: Op.Request, srcPort: i, dstPort: 7 });
      r.host.poll();
      r.guest.receive();
      for (let packet = 0; packet < 3; packet++) {
        r.guest.send({ op: Op.Rw, srcPort: i, dstPort: 7 }, bytes(60_000));
        r.host.poll();
        r.guest.reclaim();
      }
    }
    expect(r.device.stats.headsHeld).toBe(Math.floor(1_048_576 / 60_044));
    expect(r.device.stats.bytesFromGuest).toBe(36 * 60_000);
  });

  test("one stalled, nine others at full speed, over the real driver", async () => {
    const { driver, device, settle } = await createLoopback({ driver: { queueSize: 16 } });
    let arrived = 0;
    device.listen(port(1), () => new Recorder());
    device.listen(port(2), () => ({
      data: (chunk) => {
        arrived += chunk.bytes.length;
        chunk.release();
      },
      ...{ end() {}, drain() {}, closed() {} },
    }));
    const stalled = driver.connect({ cid: HOST_CID, port: port(1) });
    const others = Array.from({ length: 9 }, () => driver.connect({ cid: HOST_CID, port: port(2) }));
    settle();
    const block = bytes(8192);
    for (let i = 0; i < 100; i++) {
      stalled.trySend(block);
      for (const other of others) expect(other.trySend(block)).toBe(8192);
      settle();
    }
    expect(arrived).toBe(9 * 100 * 8192);
    expect(stalled.trySend(block)).toBe(-Errno.EAGAIN);
  });
});

describe("toward the guest", () => {
  test("write takes what credit and a small queue allow; drain says when there is room again", async () => {
    const r = await rig({ queueBytes: 500 });
    const recorder = await connected(r, 1000);
    for (let i = 0; i < 20; i++) r.guest.post([44 + 2000]);
    expect(recorder.stream?.writable).toBe(500);
    expect(recorder.stream?.write(bytes(5000))).toBe(1500);
    expect(recorder.stream?.write(bytes(10))).toBe(0);
    r.host.poll();
    const received = r.guest.receive();
    expect(received.map((packet) => packet.len)).toEqual([1000, 0]);
    expect(received.at(-1)?.op).toBe(Op.CreditRequest);
    expect(recorder.said).toEqual(["opened"]);
    r.guest.send({ op: Op.CreditUpdate, srcPort: 1000, dstPort: 7, bufAlloc: 1000, fwdCnt: 1000 });
    r.host.poll();
    expect(r.guest.receive().map((packet) => packet.len)).toEqual([500]);
    expect(recorder.said).toEqual(["opened", "drain"]);
    expect(r.device.stats).toMatchObject({ bytesToGuest: 1500, bytesCopiedToGuest: 1500, bytesQueuedToGuest: 500 });
  });

  test("connections take turns for scarce RX buffers", async () => {
    const r = await rig({ queueBytes: 10_000 });
    const first = await connected(r, 65_536, 1);
    const second = await connected(r, 65_536, 2);
    first.stream?.write(bytes(1000));
    second.stream?.write(bytes(1000));
    const order: number[] = [];
    for (let i = 0; i < 8; i++) {
      r.guest.post([144]);
      r.host.poll();
      order.push(...r.guest.receive().map((packet) => packet.dstPort));
    }
    expect(order).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
  });

  test("end goes after what was taken; the guest's RST closes in order", async () => {
    const r = await rig();
    const recorder = await connected(r);
    recorder.stream?.write(bytes(100));
    recorder.stream?.end();
    expect(recorder.stream?.write(bytes(1))).toBe(0);
    for (let i = 0; i < 4; i++) r.guest.post([100]);
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RW", "RW", "SHUTDOWN"]);
    r.guest.send({ op: Op.Shutdown, flags: 2, srcPort: 1000, dstPort: 7 });
    r.host.poll();
    expect(r.guest.receive()).toMatchObject([{ op: Op.Shutdown, flags: 3 }]);
    r.guest.send({ op: Op.Rst, srcPort: 1000, dstPort: 7 });
    r.host.poll();
    expect(recorder.said).toEqual(["opened", "end", "closed 0"]);
  });

  test("a guest that closes with bytes still under way to a slow handler: all of them, then end, then closed", async () => {
    const r = await rig({ txHeadsPerConnection: 1 });
    const recorder = await connected(r);
    for (let i = 0; i < 5; i++) r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(10, i));
    r.guest.send({ op: Op.Shutdown, flags: 3, srcPort: 1000, dstPort: 7 });
    r.guest.post([100]);
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
    expect(recorder.said).toEqual(["opened", "receiveEnded"]);
    recorder.releaseAll();
    r.host.poll();
    expect(recorder.received).toHaveLength(50);
    expect(recorder.said).toEqual(["opened", "receiveEnded", "end", "closed 0"]);
  });

  test("the host connects: refused, timed out, or opened", async () => {
    const r = await rig();
    const recorders = [new Recorder(), new Recorder(), new Recorder()];
    const streams = recorders.map((recorder, i) =>
      r.device.connect((50 + i) as Port, () => recorder, { timeoutMs: 10 }),
    );
    for (let i = 0; i < 6; i++) r.guest.post([100]);
    r.host.poll();
    expect(r.guest.receive().map((packet) => [opName(packet.op), packet.dstPort])).toEqual([
      ["REQUEST", 50],
      ["REQUEST", 51],
      ["REQUEST", 52],
    ]);
    r.guest.send({ op: Op.Rst, srcPort: 50, dstPort: streams[0]?.hostPort ?? 0 });
    r.guest.send({ op: Op.Response, srcPort: 51, dstPort: streams[1]?.hostPort ?? 0 });
    r.host.poll();
    r.clock.advance(10);
    r.host.poll();
    expect(recorders.map((recorder) => recorder.said)).toEqual([
      [`closed ${Errno.ECONNREFUSED}`],
      ["opened"],
      [`closed ${Errno.ETIMEDOUT}`],
    ]);
    expect(names(r.guest.receive())).toEqual(["RST"]);
  });
});

describe("handlers", () => {
  test("a connection that ended while the device needed a reset: nobody was told (found by simulation, seed 2255)", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.device.poll = () => {
      throw new Error("a fault of the device's own");
    };
    r.host.poll();
    expect(r.host.status & DeviceStatus.DEVICE_NEEDS_RESET).not.toBe(0);
    r.device.resetTransport();
    r.host.reset();
    expect(recorder.said).toEqual(["opened", `closed ${Errno.ECONNRESET}`]);
  });

  test("`opened` comes before bytes that came in the same poll (found by simulation, seed 489)", async () => {
    const r = await rig();
    const said: string[] = [];
    const stream = r.device.connect(port(50), () => ({
      opened: () => void said.push("opened"),
      data: (chunk) => {
        said.push(`${chunk.bytes.length} bytes`);
        chunk.release();
      },
      end() {},
      drain() {},
      closed() {},
    }));
    r.guest.post([4096]);
    r.host.poll();
    r.guest.receive();
    r.guest.send({ op: Op.Response, srcPort: 50, dstPort: stream.hostPort });
    r.guest.send({ op: Op.Rw, srcPort: 50, dstPort: stream.hostPort }, bytes(10));
    r.host.poll();
    expect(said).toEqual(["opened", "10 bytes"]);
  });

  test.each([4, 0])(
    "bytes that come after `endReceive` reach no handler, and credit returns (%i heads)",
    async (heads) => {
      const r = await rig({ txHeadsPerConnection: heads });
      const recorder = await connected(r);
      recorder.stream?.endReceive();
      r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(100));
      r.host.poll();
      expect(recorder.received).toEqual([]);
      expect(r.guest.reclaim()).toBe(1);
      expect(r.device.stats.headsHeld).toBe(0);
    },
  );

  test.each(["data", "opened", "end", "drain", "closed"] as const)(
    "one that throws in %s costs its own connection",
    async (where) => {
      const r = await rig();
      const good = await connected(r, 65_536, 1);
      const bad = await connected(r, 100, 2);
      const thrower = (): void => {
        throw new Error("a bug");
      };
      bad[where] = thrower;
      if (where === "opened") {
        r.device.listen(port(8), () => bad);
        r.guest.send({ op: Op.Request, srcPort: 3, dstPort: 8 });
      }
      for (let i = 0; i < 8; i++) r.guest.post([200]);
      bad.stream?.write(bytes(100_000));
      r.guest.send({ op: Op.Rw, srcPort: 2, dstPort: 7 }, bytes(5));
      r.guest.send({ op: Op.CreditUpdate, srcPort: 2, dstPort: 7, bufAlloc: 65_536 });
      r.guest.send({ op: Op.Shutdown, flags: 2, srcPort: 2, dstPort: 7 });
      for (let i = 0; i < 4; i++) r.host.poll();
      if (where === "closed") r.guest.send({ op: Op.Rst, srcPort: 2, dstPort: 7 });
      for (let i = 0; i < 4; i++) r.host.poll();
      expect(r.device.stats.handlerErrors).toBeGreaterThan(0);
      bad.releaseAll();
      r.guest.send({ op: Op.Rw, srcPort: 1, dstPort: 7 }, bytes(5));
      r.host.poll();
      expect(good.received).toEqual([...bytes(5)]);
      good.releaseAll();
      expect(r.device.stats.headsHeld).toBe(0);
    },
  );

  test("a port's handler that throws refuses", async () => {
    const r = await rig();
    r.device.listen(port(7), () => {
      throw new Error("a bug");
    });
    r.guest.post([100]);
    r.guest.send({ op: Op.Request, dstPort: 7 });
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
  });

  test("destroy resets, and a run that is released later still gives its head back", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.guest.post([100]);
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(5));
    r.host.poll();
    recorder.stream?.destroy();
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
    expect(recorder.said).toEqual(["opened", `closed ${Errno.ECONNABORTED}`]);
    expect(r.guest.reclaim()).toBe(0);
    recorder.releaseAll();
    r.host.poll();
    expect(r.guest.reclaim()).toBe(1);
  });

  test("§2.4: after a reset nothing is touched: runs released late are nobody's", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.guest.send({ op: Op.Rw, srcPort: 1000, dstPort: 7 }, bytes(5));
    r.host.poll();
    await r.guest.device.reset();
    recorder.releaseAll();
    expect(recorder.said).toEqual(["opened", `closed ${Errno.ENETDOWN}`]);
    expect(r.device.stats.headsHeld).toBe(0);
  });
});

describe("§5.10.6.7 TRANSPORT_RESET", () => {
  test("is sent when the guest has a buffer for it; connections end; the CID may be another", async () => {
    const r = await rig();
    const recorder = await connected(r);
    r.device.resetTransport({ guestCid: guestCid(9) });
    r.host.poll();
    expect(recorder.said).toEqual(["opened", `closed ${Errno.ECONNRESET}`]);
    r.guest.post([3], QueueIndex.Event);
    r.host.poll();
    expect(r.host.arm()).toBe(false);
    r.guest.post([4], QueueIndex.Event);
    r.host.poll();
    expect(r.guest.events()).toEqual([0, 0]); // the first came back empty
    expect(r.device.readConfig()[0]).toBe(9);
    r.guest.post([100]);
    r.guest.send({ op: Op.Rw, srcCid: 9, srcPort: 1000, dstPort: 7 }, bytes(1));
    r.host.poll();
    expect(names(r.guest.receive())).toEqual(["RST"]);
  });

  test("driver and device go on together", async () => {
    const { driver, device, settle } = await createLoopback();
    device.listen(port(7), () => new Recorder());
    const connection = driver.connect({ cid: HOST_CID, port: port(7) });
    settle();
    device.resetTransport({ guestCid: guestCid(77) });
    settle();
    await new Promise((resolve) => setImmediate(resolve));
    expect([connection.error, driver.guestCid]).toEqual([Errno.ECONNRESET, 77]);
    const again = driver.connect({ cid: HOST_CID, port: port(7) });
    settle();
    expect(again.status).toBe("established");
  });
});

test("thousands of connections, opened and closed from both sides, leave nothing behind", async () => {
  const { driver, device, settle, clock } = await createLoopback({ device: { maxConnections: 64 } });
  const ends: string[] = [];
  device.listen(port(7), (stream) => ({
    data: (chunk) => {
      stream.write(chunk.bytes);
      chunk.release();
    },
    end: () => stream.end(),
    ...{ drain() {}, closed: (errno: number) => ends.push(String(errno)) },
  }));
  const listener = driver.listen(port(80), 64);
  for (let round = 0; round < 100; round++) {
    const mine = Array.from({ length: 30 }, () => driver.connect({ cid: HOST_CID, port: port(7) }));
    for (let i = 0; i < 30; i++) {
      device.connect(port(80), (stream) => ({
        opened: () => stream.end(),
        data: (chunk) => chunk.release(),
        ...{ end() {}, drain() {}, closed: (errno: number) => ends.push(String(errno)) },
      }));
    }
    settle();
    for (const connection of mine) {
      connection.trySend(bytes(100));
      connection.close();
    }
    for (let got = listener.tryAccept(); got !== undefined; got = listener.tryAccept()) got.close();
    settle();
  }
  expect(ends).toHaveLength(6000);
  expect(new Set(ends)).toEqual(new Set(["0"]));
  expect(driver.stats.connectionsOpen + device.stats.connectionsOpen).toBe(0);
  expect(clock?.pending).toBe(0);
});
