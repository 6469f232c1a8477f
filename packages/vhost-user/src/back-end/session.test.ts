/** Front-ends that mean no good: the session ends or goes on, this process lives and never waits. */
import { constants } from "node:buffer";
import { Feature, featureBit } from "@toril/virtio";
import { EchoDevice } from "@toril/virtio/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Eventfd } from "../ffi/eventfd.ts";
import { libc } from "../ffi/libc.ts";
import { socketPair } from "../ffi/unix-socket.ts";
import { Requester } from "../front-end/requester.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { PROTOCOL_FEATURES_BIT, ProtocolFeature, protocolBits, Request } from "../protocol/message.ts";
import { memoryTable, vringAddress, vringState } from "../protocol/payloads.ts";
import { BackEndSession } from "./session.ts";

vi.setConfig({ testTimeout: 60_000 });

const MEMORY = 65_536;
let memory: MemfdMemory;
let device: EchoDevice;
let session: BackEndSession;
let frontEnd: Requester;
const ends: string[] = [];

beforeEach(() => {
  ends.length = 0;
  memory = new MemfdMemory(MEMORY);
  device = new EchoDevice({ queueMaxSizes: [8, 8] });
  const [ours, theirs] = socketPair();
  session = new BackEndSession({ fd: theirs, device, onEnd: (reason) => void ends.push(reason) });
  frontEnd = new Requester({ fd: ours, timeoutMs: 60_000, lost: () => {} });
});
afterEach(() => {
  frontEnd.close();
  session.close();
  memory.close();
});

/** Up to the memory table; without STATUS, so that a kick starts the device. */
async function handshake(): Promise<bigint> {
  await frontEnd.askNumber(Request.GetFeatures);
  await frontEnd.tellNumber(Request.SetProtocolFeatures, protocolBits(ProtocolFeature.REPLY_ACK));
  frontEnd.acknowledges = "yes";
  await frontEnd.tellNumber(Request.SetFeatures, featureBit(Feature.VERSION_1) | PROTOCOL_FEATURES_BIT);
  const [region] = memory.regions;
  if (region === undefined) throw new Error("no memory");
  const { base, size, userAddress, fd } = region;
  const table = [{ guestAddress: BigInt(base), size: BigInt(size), userAddress, mmapOffset: 0n }];
  expect(await frontEnd.tell(Request.SetMemTable, memoryTable(table), [fd])).toBe("done");
  return userAddress;
}

/** @param usedAt offset of the used ring in memory */
async function startRing(
  index: number,
  userAddress: bigint,
  usedAt: number,
  kick: number,
  call: number,
): Promise<void> {
  const at = (offset: number): bigint => userAddress + BigInt(offset);
  await frontEnd.tell(Request.SetVringNum, vringState(index, 8));
  await frontEnd.tell(Request.SetVringBase, vringState(index, 0));
  const areas = { index, descriptors: at(4096 * index), available: at(4096 * index + 1024), used: at(usedAt) };
  await frontEnd.tell(Request.SetVringAddr, vringAddress(areas));
  await frontEnd.tell(Request.SetVringCall, vringState(index, 0), [call]);
  await frontEnd.tell(Request.SetVringKick, vringState(index, 0), [kick]);
  expect(await frontEnd.tell(Request.SetVringEnable, vringState(index, 1))).toBe("done");
}

const eventually = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 30_000, interval: 5 });

test("regression: a used ring at the very end of memory ended the process when the device stopped", async () => {
  const userAddress = await handshake();
  const bells = Array.from({ length: 4 }, () => new Eventfd());
  const [kick0, call0, kick1, call1] = bells.map(({ fd }) => fd) as [number, number, number, number];
  await startRing(0, userAddress, 2048, kick0, call0);
  await startRing(1, userAddress, MEMORY - 2, kick1, call1);
  bells[0]?.ring();
  await eventually(() => expect(device.context).toBeDefined());
  const answer = await frontEnd.ask(Request.GetVringBase, vringState(0, 0));
  expect(answer.payload).toEqual(vringState(0, 0));
  for (const bell of bells) bell.close();
});

test("regression: a kick that blocks, and whose count is always taken by somebody else, does not stop this thread", async () => {
  const userAddress = await handshake();
  const flags = 0o2000000; // EFD_CLOEXEC, and nothing else
  const blocking = Number(libc().call.eventfd(0, flags));
  const full = Number(libc().call.eventfd(0, flags));
  // One more would have to wait.
  libc().call.write(full, new Uint8Array(new BigUint64Array([0xffff_ffff_ffff_fffen]).buffer), 8);
  await startRing(0, userAddress, 2048, blocking, full);
  // The same open files: what the back-end must not wait for, nobody waits for.
  expect(libc().drain(blocking)).toBe(false);
  libc().ring(full);
  libc().close(blocking);
  libc().close(full);
});

test("regression: a region of 5 GiB ended the process on Node 20, which has no views of more than 4", async () => {
  await handshake();
  const size = 5 * 2 ** 30;
  const fd = libc().createMemfd("large", size);
  const table = [{ guestAddress: 0n, size: BigInt(size), userAddress: 2n ** 32n, mmapOffset: 0n }];
  const outcome = await frontEnd.tell(Request.SetMemTable, memoryTable(table), [fd]);
  expect(outcome).toBe(size > constants.MAX_LENGTH ? "refused" : "done");
  expect(await frontEnd.askNumber(Request.GetFeatures)).toBeGreaterThan(0n);
  libc().close(fd);
});

test("closing twice ends the session once; requests after that end at the front-end", async () => {
  await handshake();
  session.close("first");
  session.close("second");
  expect(ends).toEqual(["first"]);
  await expect(frontEnd.askNumber(Request.GetFeatures)).rejects.toMatchObject({ code: "ERR_TRANSPORT" });
});

test.each([
  ["no number at all", 0],
  ["no power of 2", 3],
])("a ring of a size that is %s: the device does not get it, and the session goes on", async (_name, size) => {
  const userAddress = await handshake();
  const [kick, call] = [new Eventfd(), new Eventfd()];
  await startRing(0, userAddress, 2048, kick.fd, call.fd);
  await frontEnd.tell(Request.SetVringNum, vringState(0, size));
  kick.ring();
  await eventually(() => expect(device.context).toBeDefined());
  expect(device.context?.queues[0]).toBeUndefined();
  expect(await frontEnd.askNumber(Request.GetFeatures)).toBeGreaterThan(0n);
  kick.close();
  call.close();
});
