import { Errno } from "@toril/virtio/platform";
import { describe, expect, test, vi } from "vitest";
import { type Cid, guestCid, HOST_CID, type Port, port } from "./address.ts";
import type { GuestStream, HostHandler } from "./device/api.ts";
import type { TxPath } from "./driver/api.ts";
import { createLoopback } from "./testing/index.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000 });

const paths: readonly TxPath[] = ["two-copy", "one-copy", "zero-copy"];

/** Echoes what the guest sends, as far as the guest takes it. */
function echo(stream: GuestStream): HostHandler {
  let waiting: { bytes: Uint8Array; release: () => void }[] = [];
  let ended = false;
  const pump = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const taken = stream.write(first.bytes);
      first.bytes = first.bytes.subarray(taken);
      if (first.bytes.length > 0) return;
      waiting = waiting.slice(1);
      first.release();
    }
    if (ended) stream.end();
  };
  return {
    data: (chunk) => {
      waiting.push({ bytes: chunk.bytes, release: () => chunk.release() });
      pump();
    },
    end: () => {
      ended = true;
      pump();
    },
    drain: pump,
    closed() {},
  };
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >>> 8)) & 0xff);
}

describe.each(paths)("driver and device over real rings, %s", (txPath) => {
  test("§5.10.6.5: connect, send, receive an echo, half-close, close in order", async () => {
    const { driver, device, settle } = await createLoopback({ driver: { txPath } });
    device.listen(port(7), echo);
    const connection = driver.connect({ cid: HOST_CID, port: port(7) });
    const heard: string[] = [];
    connection.listener = {
      onConnected: () => heard.push("connected"),
      onClosed: (errno) => heard.push(`closed ${errno}`),
    };
    settle();
    expect(connection.status).toBe("established");
    const sent = pattern(300_000);
    const received = new Uint8Array(sent.length);
    let out = 0;
    let back = 0;
    for (let round = 0; back < sent.length && round < 10_000; round++) {
      const taken = connection.trySend(sent.subarray(out));
      if (taken > 0) out += taken;
      settle();
      for (
        let n = connection.tryRecv(received.subarray(back));
        n > 0;
        n = connection.tryRecv(received.subarray(back))
      ) {
        back += n;
      }
      settle();
    }
    expect(received).toEqual(sent);
    expect(connection.tryRecv(received)).toBe(-Errno.EAGAIN);
    connection.shutdown("send");
    expect(connection.trySend(sent)).toBe(-Errno.EPIPE);
    settle();
    expect(connection.tryRecv(received)).toBe(0);
    expect(connection.status).toBe("closed");
    expect(connection.error).toBe(0);
    expect(heard).toEqual(["connected", "closed 0"]);
    expect(driver.stats.connectionsOpen).toBe(0);
    expect(device.stats.connectionsOpen).toBe(0);
  });

  test("the host connects to a listener of the guest; RW before accept is kept", async () => {
    const { driver, device, settle } = await createLoopback({ driver: { txPath } });
    const listener = driver.listen(port(80), 4);
    const got: string[] = [];
    const opened: GuestStream = device.connect(port(80) as Port, (stream) => ({
      opened: () => void stream.write(Uint8Array.of(1, 2, 3)),
      data: (chunk) => {
        got.push([...chunk.bytes].join(","));
        chunk.release();
      },
      end: () => stream.end(),
      drain() {},
      closed: (errno) => got.push(`closed ${errno}`),
    }));
    settle();
    expect(listener.pending).toBe(1);
    const accepted = listener.tryAccept();
    const bytes = new Uint8Array(8);
    expect(accepted?.tryRecv(bytes)).toBe(3);
    expect(bytes.slice(0, 3)).toEqual(Uint8Array.of(1, 2, 3));
    accepted?.trySend(Uint8Array.of(9));
    accepted?.close();
    settle();
    expect(got).toEqual(["9", "closed 0"]);
    expect(opened.writable).toBe(0);
  });
});

test("§5.10.6.5: nobody listens: ECONNREFUSED on either side", async () => {
  const { driver, device, settle } = await createLoopback();
  const connection = driver.connect({ cid: HOST_CID, port: port(1) });
  const errors: number[] = [];
  device.connect(port(2) as Port, () => ({ data() {}, end() {}, drain() {}, closed: (errno) => errors.push(errno) }));
  settle();
  expect(connection.error).toBe(Errno.ECONNREFUSED);
  expect(errors).toEqual([Errno.ECONNREFUSED]);
});

test("counters of both ends agree, packet by packet and byte by byte", async () => {
  const { driver, device, settle } = await createLoopback({ driver: { txPath: "two-copy" } });
  device.listen(port(7), echo);
  const connection = driver.connect({ cid: HOST_CID, port: port(7) });
  settle();
  const target = new Uint8Array(60_000);
  for (let round = 0; round < 20; round++) {
    for (let half = 0; half < 2; half++) {
      expect(connection.trySend(pattern(25_000))).toBe(25_000);
      connection.flush(); // the second one finds a device that knows already
    }
    settle();
    for (let left = 50_000; left > 0; ) left -= connection.tryRecv(target);
    settle();
  }
  connection.close();
  settle();
  const guest = driver.stats;
  const host = device.stats;
  expect(guest.txOps).toEqual(host.opsFromGuest);
  expect(guest.rxOps).toEqual(host.opsToGuest);
  expect(guest.txOps).toMatchObject({ request: 1, shutdown: 1, other: 0 });
  expect(guest.rxOps).toMatchObject({ response: 1, reset: 1 });
  const total = (ops: object): number => Object.values(ops).reduce((sum: number, count: number) => sum + count, 0);
  expect([total(guest.txOps), total(guest.rxOps)]).toEqual([guest.txPackets, guest.rxPackets]);
  expect([host.packetsFromGuest, host.packetsToGuest]).toEqual([guest.txPackets, guest.rxPackets]);
  expect(guest.txCopied).toEqual({
    ...{ userToPacket: 1_000_000, packetToRing: 1_000_000 },
    ...{ header: 44 * guest.txPackets, headerToRing: 44 * guest.txOps.data },
  });
  expect(guest.rxCopied).toEqual({ toUser: 1_000_000, toPrivate: 0 });
  expect(host.bytesCopiedToGuest).toBe(1_000_000);
  expect(host.headerBytesToGuest).toBe(44 * guest.rxPackets);
  expect(host.bytesInPlace + host.bytesCopiedToHost).toBe(1_000_000);
  const { rx, tx, event } = guest.notifications;
  expect(rx.sent + tx.sent + event.sent).toBe(guest.notificationsSent);
  expect(tx.suppressed).toBeGreaterThan(0);
  const { interrupts } = host;
  expect(interrupts.rx.sent + interrupts.tx.sent).toBe(host.interruptsSent);
});

test("waits for credit and for the guest's buffers are counted at both ends", async () => {
  const { driver, device, clock, settle } = await createLoopback({ driver: { bufAlloc: 8000, rxBuffers: 2 } });
  let stream: GuestStream | undefined;
  device.listen(port(7), (opened) => {
    stream = opened;
    return { data: (chunk) => chunk.release(), end() {}, drain() {}, closed() {} };
  });
  const connection = driver.connect({ cid: HOST_CID, port: port(7) });
  settle();
  stream?.write(pattern(8500));
  settle();
  clock?.advance(7);
  expect(device.stats.waits.credit.count).toBe(1);
  const target = new Uint8Array(9000);
  expect(connection.tryRecv(target)).toBe(8000);
  settle();
  expect(device.stats.waits.credit).toEqual({ count: 1, ms: 7 });
  expect(connection.tryRecv(target)).toBe(500);
  for (let i = 0; i < 8; i++) stream?.write(pattern(50)); // more packets than buffers, before the guest looks
  settle();
  expect(device.stats.waits.buffers.count).toBeGreaterThan(0);
});

test("§5.10.6.5: a CID where nobody is refuses at once, and a guest cannot reach itself", async () => {
  const { driver, device, settle } = await createLoopback();
  device.listen(port(7), echo);
  const connection = driver.connect({ cid: guestCid(77), port: port(7) });
  settle(); // no time passes
  expect([connection.status, connection.error]).toEqual(["closed", Errno.ECONNREFUSED]);
  expect(device.stats.malformedPackets).toBe(1);
  for (const cid of [driver.guestCid, 1 as Cid]) {
    expect(() => driver.connect({ cid, port: port(7) })).toThrow("no loopback");
  }
});
