/**
 * The calls that never wait allocate nothing per message, through socket calls, driver and rings. (A garbage collection
 * in the middle of a transfer is what the 99.9th percentile of a round trip is made of.)
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { VirtualClock } from "@toril/virtio/testing";
import { BorrowedBytes, createVsockDriver, HOST_CID, type TxPath } from "@toril/vsock";
import { MirrorDevice } from "@toril/vsock/testing";
import { expect, test, vi } from "vitest";
import { SocketLayer } from "./layer.ts";

vi.setConfig({ testTimeout: 120_000 });

const MESSAGES = 8_000;
const LENGTH = 8192;
/** An object is 16 bytes at least: one per message would be 128,000. */
const ALLOWED = 60_000;

async function guest(txPath: TxPath) {
  const memory = GuestMemory.allocate({ size: 16 * 1024 * 1024 });
  const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  const host = new DeviceHost({ device: new MirrorDevice(), memory });
  const clock = new VirtualClock();
  const transport = new InProcessTransport(host);
  const driver = await createVsockDriver({ transport, allocator: heap, clock, txPath, txSegments: 4 });
  const net = new SocketLayer({ driver, clock }).callsFor();
  const socket = net.socket();
  net.tryConnect(socket, { cid: HOST_CID, port: 7 });
  net.setOption(socket, "noDelay", true);
  const turn = (): void => {
    driver.poll();
    host.poll();
    driver.poll();
  };
  turn();
  turn();
  return { heap, net, socket, turn, driver };
}

/** The middle one of several measurements: the engine itself allocates now and then, or collects. */
function growth(round: (messages: number) => void): number {
  round(5 * MESSAGES); // until it is compiled
  const all: number[] = [];
  for (let i = 0; i < 7; i++) {
    const before = process.memoryUsage().heapUsed;
    round(MESSAGES);
    all.push(Math.abs(process.memoryUsage().heapUsed - before));
  }
  return all.sort((a, b) => a - b)[3] ?? Number.POSITIVE_INFINITY;
}

test.each(["two-copy", "one-copy", "zero-copy"] as const)("trySend and tryRecv, %s", async (txPath) => {
  const { net, socket, turn } = await guest(txPath);
  const message = new Uint8Array(LENGTH).fill(7);
  const target = new Uint8Array(LENGTH);
  const grown = growth((messages) => {
    for (let i = 0; i < messages; i++) {
      if (net.trySend(socket, message) !== LENGTH) throw new Error("a short send");
      turn();
      if (net.tryRecv(socket, target) !== LENGTH) throw new Error("a short receive");
    }
  });
  expect(target).toEqual(message);
  expect(grown).toBeLessThan(ALLOWED);
});

test.each(["trySendBuffer", "trySendBuffers"] as const)("%s, and tryBorrowInto", async (call) => {
  const { heap, net, socket, turn, driver } = await guest("zero-copy");
  const buffer = heap.allocateDma(LENGTH);
  if (buffer === undefined) throw new Error("no memory");
  buffer.writable.fill(7);
  const parts = [
    { buffer, offset: 0, length: LENGTH / 2 },
    { buffer, offset: LENGTH / 2, length: LENGTH / 2 },
  ];
  const borrowed = new BorrowedBytes();
  const grown = growth((messages) => {
    for (let i = 0; i < messages; i++) {
      const count =
        call === "trySendBuffer" ? net.trySendBuffer(socket, buffer, 0, LENGTH) : net.trySendBuffers(socket, parts, 0);
      if (count !== LENGTH) throw new Error("a short send");
      turn();
      if (net.tryBorrowInto(socket, borrowed) !== LENGTH) throw new Error("a short run");
      borrowed.release();
      turn();
      if (net.loansReturned(socket) !== net.loansMade(socket)) throw new Error("a loan is not over");
    }
  });
  expect(driver.stats.zeroCopySends).toBe(12 * MESSAGES);
  expect(driver.stats.txCopied.userToPacket).toBe(0);
  expect(grown).toBeLessThan(ALLOWED);
});
