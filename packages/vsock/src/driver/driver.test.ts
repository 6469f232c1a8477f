/** The driver against a device without rules. Each of Toro's faults has its test here or in ../connection. */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { Errno } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cid, HOST_CID, type Port, port } from "../address.ts";
import { type RawPacket, RawVsockDevice } from "../testing/index.ts";
import { TRANSPORT_RESET } from "../wire/event.ts";
import { Op, opName } from "../wire/ops.ts";
import type { TxPath, VsockConnection, VsockDriver, VsockListener } from "./api.ts";
import { createVsockDriver } from "./create.ts";
import type { VsockDriverOptions } from "./options.ts";
import type { VsockDriverStats } from "./stats.ts";

interface Rig {
  readonly device: RawVsockDevice;
  readonly driver: VsockDriver;
  readonly clock: VirtualClock;
  readonly heap: Heap;
  readonly host: DeviceHost;
}

async function rig(
  options: Partial<VsockDriverOptions> & { device?: RawVsockDevice; memory?: number } = {},
): Promise<Rig> {
  const { device = new RawVsockDevice(), memory: size = 8 * 1024 * 1024, ...driverOptions } = options;
  const memory = GuestMemory.allocate({ size });
  const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  const clock = new VirtualClock();
  const host = new DeviceHost({ device, memory });
  const transport = new InProcessTransport(host);
  const driver = await createVsockDriver({
    ...{ rxBuffers: 8, rxBufferSize: 4096, closeTimeoutMs: 100, ...driverOptions },
    ...{ transport, allocator: heap, clock },
  });
  return { device, driver, clock, heap, host };
}

const names = (packets: readonly RawPacket[]): string[] => packets.map((packet) => opName(packet.op));
const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 0xff);

/** Connected from local port `localPort` to 2:7. */
async function connected(r: Rig, window = 65_536, localPort = 1000): Promise<VsockConnection> {
  const connection = r.driver.connect({ cid: HOST_CID, port: port(7) }, { localPort: port(localPort) });
  r.driver.poll();
  expect(names(r.device.take())).toEqual(["REQUEST"]);
  r.device.send({ op: Op.Response, srcPort: 7, dstPort: localPort, bufAlloc: window });
  r.driver.poll();
  expect(connection.status).toBe("established");
  return connection;
}

/** Sends what the driver owes and returns it. */
function sent(r: Rig): RawPacket[] {
  r.driver.poll();
  return r.device.take();
}

describe("§5.10.3 and §5.10.4 bringing it up", () => {
  test("a device without feature bits has stream sockets", async () => {
    const { driver } = await rig({ device: new RawVsockDevice({ offeredFeatures: 0n }) });
    expect(driver.guestCid).toBe(3);
  });

  test("NO_IMPLIED_STREAM without STREAM: no stream sockets", async () => {
    const device = new RawVsockDevice({ offeredFeatures: 0b110n });
    await expect(rig({ device })).rejects.toMatchObject({ code: "EPROTONOSUPPORT" });
  });

  test("seqpacket is not accepted", async () => {
    const { device } = await rig({ device: new RawVsockDevice({ offeredFeatures: 0b111n }) });
    expect(device.context.features & 0b111n).toBe(0b101n);
  });

  test("a reserved guest CID is refused", async () => {
    const device = new RawVsockDevice();
    device.config = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0);
    await expect(rig({ device })).rejects.toMatchObject({ code: "EPROTO" });
  });

  test("no memory for receive buffers: an error, and nothing is kept", async () => {
    const memory = GuestMemory.allocate({ size: 262_144 });
    const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
    const transport = new InProcessTransport(new DeviceHost({ device: new RawVsockDevice(), memory }));
    const creating = createVsockDriver({
      transport,
      allocator: heap,
      clock: new VirtualClock(),
      rxBufferSize: 262_144,
    });
    await expect(creating).rejects.toMatchObject({ code: "ENOMEM" });
    expect(heap.stats().blocksInUse).toBe(0);
  });
});

describe("§5.10.6.4 what comes in", () => {
  test("Toro: connections are keyed by peer CID, peer port and local port", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 8);
    for (const [srcCid, srcPort] of [
      [2, 5],
      [9, 5],
      [2, 6],
    ]) {
      r.device.send({ op: Op.Request, srcCid: srcCid ?? 0, srcPort: srcPort ?? 0, dstPort: 80 });
    }
    r.driver.poll();
    r.device.send({ op: Op.Rw, srcCid: 9, srcPort: 5, dstPort: 80 }, bytes(3));
    r.driver.poll();
    const readable = [1, 2, 3].map(() => {
      const accepted = listener.tryAccept();
      return [accepted?.peer.cid, accepted?.peer.port, accepted?.readable];
    });
    // First come first served, and the bytes are where they belong.
    expect(readable).toEqual([
      [2, 5, 0],
      [9, 5, 3],
      [2, 6, 0],
    ]);
    expect(r.device.take().map((packet) => [packet.op, packet.dstCid, packet.dstPort])).toEqual([
      [Op.Response, 2, 5],
      [Op.Response, 9, 5],
      [Op.Response, 2, 6],
    ]);
  });

  test("Toro: RW between RESPONSE and accept is kept, also when the peer is gone by then", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 8);
    r.device.send({ op: Op.Request, srcPort: 5, dstPort: 80 });
    expect(names(sent(r))).toEqual(["RESPONSE"]);
    r.device.send({ op: Op.Rw, srcPort: 5, dstPort: 80 }, bytes(10));
    r.device.send({ op: Op.Shutdown, flags: 3, srcPort: 5, dstPort: 80 });
    expect(names(sent(r))).toEqual(["RST"]);
    const accepted = listener.tryAccept();
    const target = new Uint8Array(20);
    expect(accepted?.tryRecv(target)).toBe(10);
    expect(target.subarray(0, 10)).toEqual(bytes(10));
    expect(accepted?.tryRecv(target)).toBe(0);
  });

  test("§5.10.6.5: RST for a full backlog, for a port without listener, for a stranger's RW; not for an RST", async () => {
    const r = await rig();
    r.driver.listen(port(80), 1);
    r.device.send({ op: Op.Request, srcPort: 1, dstPort: 80 });
    r.device.send({ op: Op.Request, srcPort: 2, dstPort: 80 });
    r.device.send({ op: Op.Request, srcPort: 3, dstPort: 81 });
    r.device.send({ op: Op.Rw, srcPort: 4, dstPort: 80 }, bytes(1));
    r.device.send({ op: Op.Rst, srcPort: 5, dstPort: 80 });
    r.device.send({ op: 99, srcPort: 6, dstPort: 80 });
    const replies = sent(r).map((packet) => [opName(packet.op), packet.srcPort, packet.dstPort]);
    expect(replies.sort()).toEqual([
      ["RESPONSE", 80, 1],
      ["RST", 80, 2],
      ["RST", 80, 4],
      ["RST", 80, 6],
      ["RST", 81, 3],
    ]);
    expect(r.driver.stats.rxOps.reset).toBe(1);
  });

  test("§5.10.6.2: an unknown type is answered with RST of that type, even for a connection", async () => {
    const r = await rig();
    const connection = await connected(r);
    r.device.send({ op: Op.Rw, type: 2, srcPort: 7, dstPort: 1000 }, bytes(5));
    expect(sent(r)).toMatchObject([{ op: Op.Rst, type: 2, srcPort: 1000, dstPort: 7 }]);
    expect(connection.status).toBe("established");
  });

  test("Toro: lengths are checked: a packet that claims more than came costs its connection", async () => {
    const r = await rig();
    const connection = await connected(r);
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000, len: 6 }, bytes(5));
    expect(names(sent(r))).toEqual(["RST"]);
    expect(connection.error).toBe(Errno.EPROTO);
  });

  test("packets that are too short, or not for this guest, are dropped and their buffers go back", async () => {
    const r = await rig();
    for (let i = 0; i < 30; i++) {
      r.device.sendBytes(bytes(43));
      r.device.send({ op: Op.Request, dstCid: 4 });
      r.device.send({ op: Op.Request, srcCidHigh: 1 });
      r.device.sendBytes(bytes(0));
      r.driver.poll();
    }
    expect(r.device.take()).toEqual([]);
    expect(r.device.send({ op: Op.Request })).toBe(true);
  });

  test("a duplicate REQUEST resets the connection", async () => {
    const r = await rig();
    const connection = await connected(r);
    r.device.send({ op: Op.Request, srcPort: 7, dstPort: 1000 });
    expect(names(sent(r))).toEqual(["RST"]);
    expect(connection.error).toBe(Errno.EPROTO);
  });
});

describe("what vhost-device-vsock 0.3 does beside the specification", () => {
  test("a receive buffer that comes back unwritten is no packet: what an earlier one left there is not taken again", async () => {
    const r = await rig();
    const connection = await connected(r);
    // Each buffer has once held a packet with payload for this connection, and has been read.
    for (let i = 0; i < 16; i++) {
      r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(87));
      r.driver.poll();
      expect(connection.tryRecv(new Uint8Array(100))).toBe(87);
      r.driver.poll();
    }
    sent(r);
    // The device says that it wrote a header, and wrote nothing.
    for (let i = 0; i < 16; i++) {
      expect(r.device.sendBytes(new Uint8Array(0), 44)).toBe(true);
      r.driver.poll();
    }
    expect([connection.status, connection.readable, names(sent(r))]).toEqual(["established", 0, []]);
  });

  test("a SHUTDOWN that is not confirmed is repeated, ever later, until RST comes or time is up", async () => {
    const r = await rig({ closeTimeoutMs: 8000 });
    const connection = await connected(r);
    connection.trySend(bytes(100));
    connection.close();
    expect(names(sent(r))).toEqual(["RW", "SHUTDOWN"]);
    // The peer goes on to take what it has, and does not think of the end any more.
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, fwdCnt: 100 });
    expect(names(sent(r))).toEqual([]);
    r.clock.advance(10);
    expect(names(sent(r))).toEqual(["SHUTDOWN"]);
    r.clock.advance(19);
    expect(names(sent(r))).toEqual([]);
    r.clock.advance(1);
    const [again] = sent(r);
    expect(again).toMatchObject({ op: Op.Shutdown, flags: 3 });
    r.device.send({ op: Op.Rst, srcPort: 7, dstPort: 1000 });
    r.driver.poll();
    r.clock.advance(8000);
    expect([connection.status, connection.error, names(sent(r))]).toEqual(["closed", 0, []]);
  });

  test("without any answer the close timer still counts from the first SHUTDOWN", async () => {
    const r = await rig({ closeTimeoutMs: 100 });
    const connection = await connected(r);
    connection.close();
    expect(names(sent(r))).toEqual(["SHUTDOWN"]);
    for (let at = 0; at < 99; at += 9) {
      r.clock.advance(9);
      r.driver.poll();
    }
    expect(connection.status).toBe("closing");
    r.clock.advance(1);
    expect(names(sent(r)).at(-1)).toBe("RST");
  });

  test("an INVALID packet carries credit and nothing else", async () => {
    const r = await rig();
    const connection = await connected(r, 100);
    expect(connection.trySend(bytes(200))).toBe(100);
    expect(names(sent(r))).toContain("RW");
    r.device.send({ op: 0, srcPort: 7, dstPort: 1000, bufAlloc: 100, fwdCnt: 100 });
    expect(names(sent(r))).toEqual([]);
    expect([connection.status, connection.writable]).toEqual(["established", 100]);
  });
});

describe("§5.10.6.1.1 RX is processed even when TX is full", () => {
  test("replies are owed, bounded, and sent when there is room again", async () => {
    const r = await rig({ device: new RawVsockDevice({ queueSize: 8 }) });
    const connection = await connected(r);
    connection.coalesce = false;
    while (connection.trySend(bytes(1)) > 0 && r.driver.stats.waits.ring.count === 0); // the device takes nothing
    const full = r.driver.stats.txPackets;
    for (let i = 0; i < 1000; i++) {
      r.device.send({ op: Op.Rw, srcPort: 100 + i, dstPort: 9 }, bytes(1)); // strangers
      r.device.send({ op: Op.CreditRequest, srcPort: 7, dstPort: 1000 });
      r.driver.poll();
    }
    expect(r.driver.stats.txPackets).toBe(full);
    // The strangers' list is full, and only then RX stopped: 64 owed, the rest still in the ring.
    const replies: RawPacket[] = [];
    for (let i = 0; i < 200; i++) replies.push(...sent(r));
    expect(replies.filter((packet) => packet.op === Op.Rst).length).toBeGreaterThanOrEqual(64);
    expect(replies.filter((packet) => packet.op === Op.CreditUpdate).length).toBeLessThan(10);
    expect(r.driver.arm()).toBe(false);
    expect(connection.status).toBe("established");
  });

  test("data is received while TX is full", async () => {
    const r = await rig({ device: new RawVsockDevice({ queueSize: 4 }) });
    const connection = await connected(r);
    connection.coalesce = false;
    while (connection.trySend(bytes(1)) > 0 && r.driver.stats.waits.ring.count === 0);
    for (let i = 0; i < 20; i++) {
      r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(1000, i));
      r.driver.poll();
    }
    expect(connection.readable).toBe(20_000);
    expect(r.driver.stats.rxCopied.toPrivate).toBeGreaterThan(0);
  });
});

describe("one connection that is not read", () => {
  test("keeps no more than its share of the receive buffers; the others go on", async () => {
    const r = await rig({ bufAlloc: 262_144 });
    const idle = await connected(r, 65_536, 1000);
    const busy = await connected(r, 65_536, 1001);
    for (let i = 0; i < 50; i++) {
      expect(r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(4096, i))).toBe(true);
      r.driver.poll();
    }
    const target = new Uint8Array(4096);
    for (let i = 0; i < 50; i++) {
      expect(r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1001 }, bytes(4096, i))).toBe(true);
      r.driver.poll();
      expect(busy.tryRecv(target)).toBe(4096);
    }
    expect(r.driver.stats.rxCopied.toPrivate).toBe(48 * 4096); // a quarter of 8 buffers stays in place
    for (let i = 0; i < 50; i++) {
      expect(idle.tryRecv(target)).toBe(4096);
      expect(target).toEqual(bytes(4096, i));
    }
  });

  test("many that are not read never take the whole ring: a new peer is heard", async () => {
    const r = await rig({ bufAlloc: 262_144 });
    const idle = [];
    for (let i = 0; i < 10; i++) idle.push(await connected(r, 65_536, 1000 + i));
    for (let i = 0; i < 10; i++) {
      for (let packet = 0; packet < 3; packet++) {
        expect(r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 + i }, bytes(100, packet))).toBe(true);
        r.driver.poll();
      }
    }
    expect(r.driver.listen(port(80), 1).pending).toBe(0);
    expect(r.device.send({ op: Op.Request, srcPort: 1, dstPort: 80 })).toBe(true);
    expect(names(sent(r))).toEqual(["RESPONSE"]);
    expect(idle.map((connection) => connection.readable)).toEqual(idle.map(() => 300));
  });

  test("many small packets cost private memory for their bytes only, within the window", async () => {
    const r = await rig({ bufAlloc: 10_000 });
    const connection = await connected(r);
    for (let i = 0; i < 10_000; i++) {
      r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(1, i));
      r.driver.poll();
    }
    expect(connection.readable).toBe(10_000);
    const target = new Uint8Array(10_001);
    expect(connection.tryPeek(target)).toBe(10_000);
    expect(connection.tryRecv(target)).toBe(10_000);
    expect(target[9999]).toBe(9999 & 0xff);
    r.driver.poll(); // tells the peer that there is room again
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(1));
    r.driver.poll();
    expect(connection.status).toBe("established");
  });

  test("a borrowed run is consumed when it is released, once", async () => {
    const r = await rig({ bufAlloc: 8192 });
    const connection = await connected(r);
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(4096));
    r.driver.poll();
    const run = connection.tryBorrow();
    if (typeof run !== "object") throw new Error("no run");
    expect(run.bytes).toEqual(bytes(4096));
    expect(connection.tryBorrow()).toBe(-Errno.EAGAIN);
    expect(sent(r)).toEqual([]);
    run.release();
    expect(sent(r)).toMatchObject([{ op: Op.CreditUpdate, fwdCnt: 4096, bufAlloc: 8192 }]);
    expect(() => run.release()).toThrow(/twice/);
    expect(() => run.bytes).toThrow(/released/);
  });
});

describe("§5.10.6.5 timeouts and ports", () => {
  test("connect gives up after its timeout and says so to the peer", async () => {
    const r = await rig();
    const connection = r.driver.connect({ cid: HOST_CID, port: port(7) }, { timeoutMs: 50 });
    sent(r);
    r.clock.advance(49);
    expect(connection.status).toBe("connecting");
    r.clock.advance(1);
    expect(names(sent(r))).toEqual(["RST"]);
    expect(connection.error).toBe(Errno.ETIMEDOUT);
  });

  test("a port pair is not used again before RST or the close timeout; then it is", async () => {
    const r = await rig();
    const connection = await connected(r);
    connection.close();
    expect(sent(r)).toMatchObject([{ op: Op.Shutdown, flags: 3 }]);
    const again = (): VsockConnection => r.driver.connect(connection.peer, { localPort: connection.local.port });
    expect(again).toThrow(/EADDRINUSE/);
    r.clock.advance(100);
    expect(connection.error).toBe(Errno.ETIMEDOUT);
    expect(names(sent(r))).toEqual(["RST"]);
    expect(again().status).toBe("connecting");
  });

  test("Toro: ephemeral ports are recycled, and run out with an error", async () => {
    const r = await rig({ ephemeralPorts: { first: 5000, last: 5003 } });
    const seen = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const connection = r.driver.connect({ cid: HOST_CID, port: port(7) });
      seen.add(connection.local.port);
      connection.abort();
      sent(r);
    }
    expect([...seen].sort()).toEqual([5000, 5001, 5002, 5003]);
    for (let i = 0; i < 4; i++) r.driver.connect({ cid: HOST_CID, port: port(7) });
    expect(() => r.driver.connect({ cid: HOST_CID, port: port(8) })).toThrow(/EADDRNOTAVAIL/);
    expect(() => r.driver.listen(undefined, 1)).toThrow(/EADDRNOTAVAIL/);
  });

  test("a second listener on a port: EADDRINUSE; closing the first resets who waits and frees the port", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 8);
    expect(() => r.driver.listen(port(80), 8)).toThrow(/EADDRINUSE/);
    r.device.send({ op: Op.Request, srcPort: 1, dstPort: 80 });
    sent(r);
    listener.close();
    expect(names(sent(r))).toEqual(["RST"]);
    expect(r.driver.listen(port(80), 8).pending).toBe(0);
  });

  test("regression: close tells every listener that nothing will come any more, and connections before them", async () => {
    const r = await rig();
    const heard: string[] = [];
    const [first, second] = [r.driver.listen(port(80), 8), r.driver.listen(port(81), 8)];
    r.device.send({ op: Op.Request, srcPort: 1, dstPort: 81 });
    sent(r);
    const tell = (name: string, listener: VsockListener) => (): void => {
      heard.push(`${name}: ${listener.tryAccept() === undefined ? "nothing" : "a connection"}, ${r.driver.failure}`);
    };
    first.onAcceptable = tell("first", first);
    second.onAcceptable = tell("second", second);
    await r.driver.close();
    expect(heard).toEqual(["first: nothing, the driver is closed", "second: nothing, the driver is closed"]);
    await r.driver.close();
    r.driver.poll();
    expect(heard).toHaveLength(2);
    expect(() => r.driver.listen(port(80), 8)).toThrow("the driver is closed");
  });

  test("a connection that is reset before anybody accepts it leaves the line", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 1);
    r.device.send({ op: Op.Request, srcPort: 1, dstPort: 80 });
    r.device.send({ op: Op.Rst, srcPort: 1, dstPort: 80 });
    r.driver.poll();
    expect(listener.pending).toBe(0);
    r.device.send({ op: Op.Request, srcPort: 2, dstPort: 80 });
    r.driver.poll();
    expect(listener.tryAccept()?.peer.port).toBe(2);
  });
});

describe("§5.10.6.7 events", () => {
  test("Toro: TRANSPORT_RESET ends connections, reads the CID again, and keeps listeners; any number of times", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 8);
    for (let i = 0; i < 40; i++) {
      const connection = r.driver.connect({ cid: HOST_CID, port: port(7) });
      r.device.config = Uint8Array.of(10 + i, 0, 0, 0, 0, 0, 0, 0);
      expect(r.device.sendEvent(TRANSPORT_RESET)).toBe(true);
      r.driver.poll();
      expect(connection.error).toBe(Errno.ECONNRESET);
      await new Promise((resolve) => setImmediate(resolve));
      expect(r.driver.guestCid).toBe(10 + i);
      r.device.take();
      r.device.send({ op: Op.Request, srcPort: i, dstPort: 80, dstCid: 10 + i });
      expect(sent(r)).toMatchObject([{ op: Op.Response, srcCid: 10 + i }]);
      expect(listener.tryAccept()?.local.cid).toBe(10 + i);
    }
  });

  test("other events, and ones too short, are passed over", async () => {
    const r = await rig();
    const connection = await connected(r);
    for (let i = 0; i < 40; i++) {
      r.device.sendEvent(7);
      r.device.sendEvent(TRANSPORT_RESET, 3);
      r.driver.poll();
    }
    expect(connection.status).toBe("established");
  });
});

describe("small writes", () => {
  test("are joined until the next poll, or flush", async () => {
    const r = await rig();
    const connection = await connected(r);
    for (let i = 0; i < 10; i++) expect(connection.trySend(bytes(10, i))).toBe(10);
    expect(r.device.take()).toEqual([]);
    const packets = sent(r);
    expect(packets.map((packet) => packet.len)).toEqual([100]);
    expect(r.driver.stats.coalescedWrites).toBe(9);
    connection.trySend(bytes(3));
    connection.flush();
    expect(r.device.take().map((packet) => packet.len)).toEqual([3]);
  });

  test("go at once without coalescing", async () => {
    const r = await rig();
    const connection = await connected(r);
    connection.coalesce = false;
    for (let i = 0; i < 3; i++) connection.trySend(bytes(10, i));
    expect(r.device.take().map((packet) => packet.len)).toEqual([10, 10, 10]);
  });

  test("Linux ≥ 6.12.92: packets in flight are bounded: what waits is joined, and the peer is asked", async () => {
    const r = await rig();
    const window = 10 * 576;
    const connection = await connected(r, window);
    connection.coalesce = false;
    let packets: RawPacket[] = [];
    for (let i = 0; i < 40; i++) {
      expect(connection.trySend(bytes(10, i))).toBe(10);
      packets.push(...sent(r));
    }
    const rw = packets.filter((packet) => packet.op === Op.Rw);
    expect(rw).toHaveLength(9);
    expect(packets.at(-1)?.op).toBe(Op.CreditRequest);
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, bufAlloc: window, fwdCnt: 90 });
    packets = sent(r);
    expect(packets.map((packet) => packet.len)).toEqual([310]);
  });
});

describe("the three transmit paths, counted exactly", () => {
  async function send(
    txPath: TxPath,
  ): Promise<{ r: Rig; packets: RawPacket[]; returned: number; copied: VsockDriverStats["txCopied"] }> {
    const r = await rig({ txPath });
    const connection = await connected(r, 262_144);
    const before = structuredClone(r.driver.stats.txCopied);
    const buffer = r.heap.allocateDma(20_000);
    if (buffer === undefined) throw new Error("no memory");
    buffer.writable.set(bytes(20_000));
    let returned = 0;
    expect(connection.trySendBuffer(buffer, 100, 10_000, () => returned++)).toBe(10_000);
    const packets = sent(r);
    sent(r);
    expect(buffer.state).toBe("owned");
    const after = r.driver.stats.txCopied;
    const copied = {
      userToPacket: after.userToPacket - before.userToPacket,
      packetToRing: after.packetToRing - before.packetToRing,
      header: after.header - before.header,
      headerToRing: after.headerToRing - before.headerToRing,
    };
    expect(packets).toHaveLength(1);
    expect(packets[0]?.payload).toEqual(bytes(20_000).subarray(100, 10_100));
    return { r, packets, returned, copied };
  }

  test("two-copy: user → packet → ring buffer", async () => {
    const { packets, returned, copied } = await send("two-copy");
    expect(copied).toEqual({ userToPacket: 10_000, packetToRing: 10_000, header: 44, headerToRing: 44 });
    expect([packets[0]?.segments, returned]).toEqual([1, 1]);
  });

  test("one-copy: the descriptor points at the packet", async () => {
    const { packets, returned, copied } = await send("one-copy");
    expect(copied).toEqual({ userToPacket: 10_000, packetToRing: 0, header: 44, headerToRing: 0 });
    expect([packets[0]?.segments, returned]).toEqual([1, 1]);
  });

  test("zero-copy: header and the user's own buffer", async () => {
    const { r, packets, returned, copied } = await send("zero-copy");
    expect(copied).toEqual({ userToPacket: 0, packetToRing: 0, header: 44, headerToRing: 0 });
    expect([packets[0]?.segments, returned]).toEqual([2, 1]);
    expect(r.driver.stats.zeroCopySends).toBe(1);
    expect(r.driver.stats.zeroCopyFallbacks).toBe(0);
  });

  test("zero-copy falls back to one copy for bytes outside guest memory and for short ones, and counts it", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const connection = await connected(r);
    connection.trySend(bytes(5000));
    const short = r.heap.allocateDma(64);
    let returned = 0;
    if (short !== undefined) connection.trySendBuffer(short, 0, 64, () => returned++);
    expect(returned).toBe(1);
    expect(r.driver.stats.zeroCopyFallbacks).toBe(2);
    expect(r.driver.stats.zeroCopySends).toBe(0);
    expect(r.driver.stats.txCopied.userToPacket).toBe(5064);
  });

  test("a caller's bug throws: a slice outside the buffer, a freed buffer", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const connection = await connected(r);
    const buffer = r.heap.allocateDma(4096);
    if (buffer === undefined) throw new Error("no memory");
    expect(() => connection.trySendBuffer(buffer, 4000, 97)).toThrow(RangeError);
    expect(() => connection.trySendBuffer(buffer, -1, 5)).toThrow(RangeError);
    buffer.free();
    expect(() => connection.trySendBuffer(buffer, 0, 4096)).toThrow(/freed/);
    expect(connection.status).toBe("established");
  });
});

describe("lent buffers come back exactly once", () => {
  async function lent(
    r: Rig,
    length: number,
    window: number,
  ): Promise<{ connection: VsockConnection; returned: () => number; free: () => void }> {
    const connection = await connected(r, window);
    const buffer = r.heap.allocateDma(length);
    if (buffer === undefined) throw new Error("no memory");
    let count = 0;
    expect(connection.trySendBuffer(buffer, 0, length, () => count++)).toBe(length);
    expect(buffer.state).toBe("lent-to-read");
    return { connection, returned: () => count, free: () => buffer.free() };
  }

  test("Toro: when the device returns its parts out of order", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { returned, free } = await lent(r, 200_000, 262_144);
    const packets = r.device.take("keep");
    expect(packets.map((packet) => packet.len)).toEqual([65_536, 65_536, 65_536, 3392]);
    expect(free).toThrow(/lent/);
    for (const packet of packets.reverse()) {
      expect(returned()).toBe(0);
      r.device.complete(packet.head);
      r.driver.poll();
    }
    expect(returned()).toBe(1);
    free();
  });

  test("when the peer resets the connection: not before the device has returned what it has", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { returned, free } = await lent(r, 200_000, 65_536);
    const [first] = r.device.take("keep");
    r.device.send({ op: Op.Rst, srcPort: 7, dstPort: 1000 });
    r.driver.poll();
    expect(returned()).toBe(0);
    r.device.complete(first?.head ?? 0);
    r.driver.poll();
    expect(returned()).toBe(1);
    free();
  });

  test("when nothing of it was sent yet and the connection is aborted", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { connection, returned, free } = await lent(r, 5000, 0);
    connection.abort();
    r.driver.poll();
    expect(returned()).toBe(1);
    free();
  });

  test("when the driver is closed, after the device was reset", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { returned, free } = await lent(r, 200_000, 100_000);
    r.device.take("keep");
    await r.driver.close();
    expect(returned()).toBe(1);
    free();
    expect(r.heap.stats().blocksInUse).toBe(0);
  });

  test("when the device breaks the rules, and is reset", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { returned, free } = await lent(r, 200_000, 100_000);
    r.device.context.needsReset("the test says so");
    r.driver.poll();
    await new Promise((resolve) => setImmediate(resolve));
    r.driver.poll();
    expect(returned()).toBe(1);
    expect(r.driver.failure).toMatch(/reset/);
    free();
  });

  test("a large loan waits for credit without its user, and is bounded", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const { connection, returned } = await lent(r, 3_000_000, 65_536);
    let fwdCnt = 0;
    let packets = r.device.take();
    for (let i = 0; fwdCnt < 3_000_000 && i < 100; i++) {
      for (const packet of packets) fwdCnt += packet.len;
      r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, fwdCnt });
      packets = sent(r);
    }
    r.driver.poll();
    expect([fwdCnt, returned()]).toEqual([3_000_000, 1]);
    expect(r.driver.stats.waits.credit.count).toBeGreaterThan(40);
    expect(connection.status).toBe("established");
  });
});

describe("exhaustion waits, and loses nothing", () => {
  test("no credit: -EAGAIN, the stall is counted, onWritable follows; asked again when the answer brought nothing", async () => {
    const r = await rig();
    const connection = await connected(r, 100);
    let writable = 0;
    connection.listener = { onWritable: () => writable++ };
    expect(connection.trySend(bytes(150))).toBe(100);
    expect(connection.trySend(bytes(50))).toBe(-Errno.EAGAIN);
    expect(names(sent(r))).toEqual(["RW", "CREDIT_REQUEST"]);
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, bufAlloc: 100, fwdCnt: 0 });
    expect(names(sent(r))).toEqual([]);
    r.clock.advance(20);
    expect(names(sent(r))).toEqual(["CREDIT_REQUEST"]);
    expect(writable).toBe(0);
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, bufAlloc: 100, fwdCnt: 100 });
    r.driver.poll();
    expect(writable).toBe(1);
    expect(connection.writable).toBe(100);
    expect(r.driver.stats.waits.credit.count).toBe(1);
    expect(r.driver.stats.waits.credit.ms).toBe(20);
  });

  test("writable === 0 is a promise, too: the peer is asked, and onWritable follows", async () => {
    const r = await rig();
    const connection = await connected(r, 100);
    let writable = 0;
    connection.listener = { onWritable: () => writable++ };
    expect(connection.trySend(bytes(100))).toBe(100);
    expect(names(sent(r))).toEqual(["RW"]);
    expect(connection.writable).toBe(0);
    expect(names(sent(r))).toEqual(["CREDIT_REQUEST"]);
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, bufAlloc: 100, fwdCnt: 100 });
    r.driver.poll();
    expect([writable, connection.writable]).toEqual([1, 100]);
  });

  test("no packet memory: -EAGAIN; onWritable when the device returns some", async () => {
    const r = await rig({ txMemory: 5000 });
    const first = await connected(r, 65_536, 1000);
    const second = await connected(r, 65_536, 1001);
    let writable = 0;
    second.listener = { onWritable: () => writable++ };
    expect(first.trySend(bytes(10_000))).toBe(4032);
    expect(second.trySend(bytes(10))).toBe(-Errno.EAGAIN);
    r.driver.poll();
    expect(writable).toBe(0);
    r.device.take();
    // The one packet is the first connection's turn, which lets it pass; then the second's.
    while (r.driver.poll());
    expect(writable).toBe(1);
    expect(second.trySend(bytes(10))).toBe(10);
  });

  test("a packet that comes back wakes one writer, not all who wait (a thousand did, 31 attempts a response)", async () => {
    const r = await rig({ txMemory: 5000 });
    const greedy = await connected(r, 65_536, 1000);
    const writers = [];
    for (const port of [1001, 1002, 1003]) writers.push({ port, writer: await connected(r, 65_536, port) });
    expect(greedy.trySend(bytes(4032))).toBe(4032);
    const told: number[] = [];
    for (const { port, writer } of writers) {
      writer.listener = {
        onWritable: () => {
          told.push(port);
          expect(writer.trySend(bytes(10))).toBe(10);
        },
      };
      expect(writer.trySend(bytes(10))).toBe(-Errno.EAGAIN);
    }
    for (const expected of [[1001], [1001, 1002], [1001, 1002, 1003]]) {
      r.device.take();
      while (r.driver.poll());
      expect(told).toEqual(expected);
    }
  });

  test("what is lent needs no packet memory, so it may go while there is none", async () => {
    const r = await rig({ txMemory: 5000, txPath: "zero-copy" });
    const greedy = await connected(r, 65_536, 1000);
    const lender = await connected(r, 65_536, 1001);
    expect(greedy.trySend(bytes(4032))).toBe(4032);
    expect([lender.writable, lender.lendable]).toEqual([0, 65_536]);
    const buffer = r.heap.allocateDma(16_384);
    if (buffer === undefined) throw new Error("no memory");
    expect(lender.trySendBuffer(buffer, 0, 16_384)).toBe(16_384);
    expect(lender.lendable).toBe(65_536 - 16_384);
    while (r.driver.poll()) r.device.take();
    buffer.free();
  });

  test.each([
    { txSegments: 16, copied: 110 },
    { txSegments: 2, copied: 120 },
  ])(
    "the end of a list is lent, too, when it shares a packet ($txSegments segments)",
    async ({ txSegments, copied }) => {
      const r = await rig({ txPath: "zero-copy", txSegments });
      const lender = await connected(r, 65_536, 1000);
      const buffer = r.heap.allocateDma(16_384);
      if (buffer === undefined) throw new Error("no memory");
      const part = (length: number) => ({ buffer, offset: 0, length });
      // Many short ones behind it are copied into one packet.
      expect(lender.trySendBuffers([part(8192), part(50), part(50), part(10)], 0)).toBe(8302);
      expect(lender.trySendBuffer(buffer, 0, 10)).toBe(10);
      expect(r.driver.stats.txCopied.userToPacket).toBe(copied);
      while (r.driver.poll()) r.device.take();
      buffer.free();
    },
  );

  test("a peer that retires no packets: no more can be lent than one packet holds, whatever its window", async () => {
    const r = await rig({ txPath: "zero-copy" });
    const lender = await connected(r, 64 << 20, 1000);
    for (let i = 0; i < 1100 && lender.lendable > 65_536; i++) {
      lender.trySend(bytes(1));
      r.driver.poll();
      r.device.take();
    }
    expect(lender.lendable).toBeLessThanOrEqual(65_536);
  });

  test("a lender that waited for its own queue, and then for memory, is told (it was in no list)", async () => {
    const r = await rig({ txMemory: 5000, txPath: "zero-copy", memory: 16 << 20 });
    const other = await connected(r, 65_536, 1000);
    const lender = await connected(r, 64 << 20, 1001);
    other.txPath = "one-copy";
    let told = 0;
    lender.listener = { onWritable: () => told++ };
    expect(other.trySend(bytes(4032))).toBe(4032);
    r.driver.poll();
    const kept = r.device.take("keep");
    const buffer = r.heap.allocateDma(5 << 20);
    if (buffer === undefined) throw new Error("no memory");
    expect(lender.trySendBuffer(buffer, 0, 5 << 20)).toBe(4 << 20);
    for (let i = 0; i < 100; i++) {
      r.driver.poll();
      r.device.take();
    }
    for (const { head } of kept) r.device.complete(head);
    for (let i = 0; i < 100; i++) r.driver.poll();
    expect(told).toBe(1);
  });

  test("what is lent outside of a turn wakes the loop, which arms for its return", async () => {
    let rings = 0;
    const r = await rig({ txPath: "zero-copy", doorbell: { ring: () => rings++ } });
    const lender = await connected(r, 65_536, 1000);
    const buffer = r.heap.allocateDma(8192);
    if (buffer === undefined) throw new Error("no memory");
    while (r.driver.poll());
    expect(r.driver.arm()).toBe(false);
    const before = rings;
    expect(lender.trySendBuffer(buffer, 0, 8192)).toBe(8192);
    expect(rings).toBeGreaterThan(before);
    r.device.take();
    while (r.driver.poll());
    buffer.free();
  });

  test("what a user does outside of a turn wakes the loop: an abort was not sent (found by simulation, seed 30039)", async () => {
    let rings = 0;
    const r = await rig({ doorbell: { ring: () => rings++ } });
    const wakes = (act: () => void): boolean => {
      r.driver.poll();
      r.device.take();
      const before = rings;
      act();
      return rings > before;
    };
    const connection = await connected(r, 65_536, 1000);
    const other = await connected(r, 65_536, 1001);
    expect(wakes(() => connection.trySend(bytes(10)))).toBe(true);
    expect(wakes(() => connection.shutdown("send"))).toBe(true);
    expect(wakes(() => connection.abort())).toBe(true);
    expect(wakes(() => other.close())).toBe(true);
    expect(wakes(() => r.driver.connect({ cid: HOST_CID, port: port(8) }))).toBe(true);
  });

  test("credit that came while there was no memory: the writer was never told (found by simulation, seed 232)", async () => {
    const r = await rig({ txMemory: 5000 });
    const starved = await connected(r, 100, 1000);
    const greedy = await connected(r, 65_536, 1001);
    let told = 0;
    starved.listener = { onWritable: () => told++ };
    expect(starved.trySend(bytes(200))).toBe(100);
    expect(names(sent(r))).toEqual(["RW", "CREDIT_REQUEST"]);
    r.driver.poll();
    // The one packet there is goes to another connection, and the device keeps it.
    expect(greedy.trySend(bytes(1000))).toBe(1000);
    r.driver.poll();
    const [kept] = r.device.take("keep");
    r.device.send({ op: Op.CreditUpdate, srcPort: 7, dstPort: 1000, bufAlloc: 100, fwdCnt: 100 });
    r.driver.poll();
    expect(told).toBe(0);
    r.device.complete(kept?.head ?? 0);
    r.driver.poll();
    expect(told).toBe(1);
    expect(starved.trySend(bytes(100))).toBe(100);
  });

  test("no guest memory at all: tried again later", async () => {
    const r = await rig();
    const connection = await connected(r);
    const hogs = [];
    for (let size = 1_048_576; size >= 16; size /= 2) {
      for (let hog = r.heap.allocateDma(size); hog !== undefined; hog = r.heap.allocateDma(size)) hogs.push(hog);
    }
    let writable = 0;
    connection.listener = { onWritable: () => writable++ };
    expect(connection.writable).toBe(0);
    expect(connection.trySend(bytes(10))).toBe(-Errno.EAGAIN);
    for (const hog of hogs) hog.free();
    r.driver.poll();
    r.clock.advance(10);
    r.driver.poll();
    expect(writable).toBe(1);
    expect(connection.trySend(bytes(10))).toBe(10);
  });

  test("a full ring: connections take turns", async () => {
    const r = await rig({ device: new RawVsockDevice({ queueSize: 4 }) });
    const connections = [];
    for (let i = 0; i < 4; i++) connections.push(await connected(r, 262_144, 1000 + i));
    for (const connection of connections) connection.trySend(bytes(200_000));
    const order: number[] = [];
    for (let i = 0; i < 40; i++) order.push(...sent(r).map((packet) => packet.srcPort));
    expect(order).toHaveLength(16);
    // After what the first had put into the ring before the others came, nobody gets two turns in a row.
    const fair = order.slice(order.lastIndexOf(order[0] ?? 0) === 3 ? 4 : 3);
    for (let i = 1; i < fair.length - 3; i++) expect(fair[i]).not.toBe(fair[i - 1]);
    expect(r.driver.stats.waits.ring.count).toBeGreaterThan(0);
  });
});

describe("a hostile device", () => {
  test("a used length beyond the buffer breaks the queue: connections end with ENETDOWN, listeners hear of it", async () => {
    const r = await rig();
    const listener = r.driver.listen(port(80), 8);
    let called = 0;
    listener.onAcceptable = () => called++;
    const connection = await connected(r);
    const closed: number[] = [];
    connection.listener = { onClosed: (errno) => closed.push(errno) };
    // Scribbles into the used ring, past the checks of our own device queue.
    const { memory } = r.device.context;
    const rx = r.device.context.queues[0];
    const chain = rx?.createChain();
    if (rx === undefined || chain === undefined || !rx.next(chain)) throw new Error("no buffer");
    rx.complete(chain.head, 44);
    const words = memory.regions[0]?.u32;
    if (words === undefined) throw new Error("no memory");
    const before = words.slice();
    rx.publish();
    const changed = words.findIndex((word, i) => word !== before[i]);
    // The used ring is { flags, idx } then { id, len } per element: `idx` is what changed.
    // The connection's RESPONSE took the first element, this packet the second.
    words[changed + 4] = 0x7fff_ffff;
    r.driver.poll();
    r.driver.poll();
    expect(r.driver.failure).toMatch(/2\.7\.8/);
    expect(closed).toEqual([Errno.ENETDOWN]);
    expect(called).toBe(1);
    expect(() => r.driver.connect({ cid: HOST_CID, port: port(1) })).toThrow(/ENETDOWN/);
    expect(connection.trySend(bytes(1))).toBe(-Errno.ENETDOWN);
  });

  test("any packets whatever: no exception, no hang, and an honest connection lives on", async () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 2, 3, 7, 80, 1000), fc.integer({ min: 0, max: 0xffff_ffff }));
    const anyPacket = fc.record({
      fields: fc.record(
        {
          ...{ srcPort: word, dstPort: word, len: word, flags: word, bufAlloc: word, fwdCnt: word, srcCid: word },
          ...{ op: fc.oneof(fc.integer({ min: 0, max: 8 }), word), type: fc.constantFrom(0, 1, 1, 1, 2, 99) },
        },
        { requiredKeys: [] },
      ),
      payload: fc.integer({ min: 0, max: 300 }),
      short: fc.integer({ min: 0, max: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(anyPacket, { maxLength: 60 }), async (packets) => {
        const r = await rig();
        r.driver.listen(port(80), 3);
        const honest = await connected(r, 65_536, 4711);
        for (const { fields, payload, short } of packets) {
          const op = (fields.op ?? 0) & 0xffff;
          if (fields.dstPort === 4711) continue;
          r.device.send({ ...fields, op }, bytes(payload), Math.max(0, 44 + payload - (short > 44 ? short - 44 : 0)));
          r.driver.poll();
          r.device.take();
        }
        r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 4711 }, bytes(10));
        for (let i = 0; i < 5; i++) r.driver.poll();
        const target = new Uint8Array(20);
        expect(honest.tryRecv(target)).toBe(10);
        expect(r.driver.failure).toBeUndefined();
        await r.driver.close();
      }),
      { numRuns: 100 },
    );
  });

  test("a storm of RSTs is not answered", async () => {
    const r = await rig();
    await connected(r);
    for (let i = 0; i < 2000; i++) {
      r.device.send({ op: Op.Rst, srcPort: i, dstPort: i });
      r.driver.poll();
    }
    expect(r.device.take()).toEqual([]);
    expect(r.driver.stats.rxOps.reset).toBe(2000);
  });
});

describe("users", () => {
  test("a listener that throws costs its own connection", async () => {
    const r = await rig();
    const bad = await connected(r, 65_536, 1000);
    const good = await connected(r, 65_536, 1001);
    bad.listener = {
      onReadable: () => {
        throw new Error("a bug");
      },
    };
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(5));
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1001 }, bytes(5));
    r.driver.poll();
    expect(names(sent(r))).toEqual(["RST"]);
    expect([bad.status, good.readable]).toEqual(["closed", 5]);
  });

  test("calls from inside a callback are fine", async () => {
    const r = await rig();
    const connection = await connected(r);
    const target = new Uint8Array(100);
    connection.listener = {
      onReadable: () => {
        let count = connection.tryRecv(target);
        for (; count > 0; count = connection.tryRecv(target)) connection.trySend(target.subarray(0, count));
        if (count === 0) connection.close();
      },
    };
    r.device.send({ op: Op.Rw, srcPort: 7, dstPort: 1000 }, bytes(50));
    r.device.send({ op: Op.Shutdown, flags: 2, srcPort: 7, dstPort: 1000 });
    r.driver.poll();
    expect(r.driver.arm()).toBe(true);
    expect(names(sent(r))).toEqual(["RW", "SHUTDOWN"]);
  });

  test("many connections one after the other leave nothing behind", async () => {
    const r = await rig();
    const blocks = r.heap.stats().blocksInUse;
    let used = 0;
    for (let i = 0; i < 3000; i++) {
      const connection = r.driver.connect({ cid: 2 as Cid, port: 7 as Port });
      r.driver.poll();
      r.device.take();
      r.device.send({ op: Op.Response, srcPort: 7, dstPort: connection.local.port });
      r.device.send({ op: Op.Rw, srcPort: 7, dstPort: connection.local.port }, bytes(10));
      r.driver.poll();
      connection.trySend(bytes(10));
      connection.close();
      r.driver.poll();
      r.device.take();
      r.device.send({ op: Op.Rst, srcPort: 7, dstPort: connection.local.port });
      r.driver.poll();
      if (connection.error === 0 && connection.status === "closed") used++;
    }
    expect(used).toBe(3000);
    expect(r.driver.stats.connectionsOpen).toBe(0);
    expect(r.heap.stats().blocksInUse).toBe(blocks + 1); // one small packet, kept for the next
    expect(r.clock.pending).toBe(0);
  });
});
