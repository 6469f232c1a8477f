/** Back-ends that die, lie, or say nothing: calls end in bounded time, buffers come back, and no descriptor is left. */
import { readdirSync } from "node:fs";
import { guestAddress } from "@toril/memory";
import { DeviceStatus, type InitializedDevice, InterruptFlags, initializeDevice } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import { BumpAllocator } from "@toril/virtio/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { libc } from "../ffi/libc.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import {
  encodeMessage,
  HEADER_SIZE,
  PROTOCOL_FEATURES_BIT,
  ProtocolFeature,
  protocolBits,
  Request,
  requestName,
} from "../protocol/message.ts";
import { readVringAddress, u64 } from "../protocol/payloads.ts";
import { type Act, FakeBackEnd, type FakeScript } from "../testing/fake-back-end.ts";
import { connectFrontEnd, type VhostUserTransport } from "./transport.ts";

vi.setConfig({ testTimeout: 60_000 });

const TYPE = 65_000;
/** Milliseconds. Nothing waits for them: time is let go by where a back-end says nothing (`inTime`). */
const TIMEOUT = 60_000;

let fake: FakeBackEnd;
let memory: MemfdMemory;
let allocator: BumpAllocator;
let transport: VhostUserTransport | undefined;
let descriptors: number;
const open = (): number => readdirSync("/proc/self/fd").length;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  libc();
  descriptors = open();
  fake = new FakeBackEnd();
  memory = new MemfdMemory(1 << 20);
  allocator = new BumpAllocator(memory.guest, guestAddress(4096));
  transport = undefined;
});

afterEach(async () => {
  await transport?.close();
  fake.close();
  memory.close();
  expect(open()).toBe(descriptors);
  vi.useRealTimers();
});

/** What is expected comes, however busy the machine is. */
const eventually = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 30_000, interval: 5 });

/** Waits for a call; once the back-end has come to what its script says, the call's time runs out. */
async function inTime<T>(call: Promise<T>): Promise<T> {
  let over = false;
  const done = call.finally(() => {
    over = true;
  });
  done.catch(() => {});
  while (!over) {
    const acted = fake.received.some(({ request }) => fake.script.acts?.[request] !== undefined);
    if (acted) vi.advanceTimersByTime(TIMEOUT);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return done;
}

async function connect(script: FakeScript = {}, log?: Log): Promise<VhostUserTransport> {
  fake.script = script;
  const options = { socketPath: fake.path, memory, deviceType: TYPE, timeoutMs: TIMEOUT };
  transport = await connectFrontEnd({ ...options, ...(log === undefined ? {} : { log }) });
  return transport;
}

type Device = InitializedDevice<string>;

async function bringUp(on: VhostUserTransport): Promise<{ device: Device; interrupts: InterruptFlags }> {
  const interrupts = new InterruptFlags();
  const device = await initializeDevice<string>(on, {
    type: TYPE,
    queues: [{ index: 0, size: 8 }],
    allocator,
    interrupts,
  });
  return { device, interrupts };
}

/** One chain in flight. */
function send(device: Device, token: string): void {
  const buffer = allocator.allocateDma(64);
  if (buffer === undefined) throw new Error("no memory");
  const queue = device.queue(0);
  queue.beginChain(1);
  queue.addWritable(buffer.address, 64);
  queue.endChain(token);
  device.publish(0);
  buffer.free();
}

const header = (request: number, flags: number, size: number): Uint8Array =>
  new Uint8Array(Uint32Array.of(request, flags, size).buffer);
const answer = (request: number, payload: Uint8Array): Uint8Array => encodeMessage(request, payload, "reply");

/** Every way to answer wrongly. */
function wrongs(request: number): Record<string, Act> {
  const bytes = (one: Uint8Array): Act => ({ kind: "bytes", bytes: one });
  return {
    silence: { kind: "silence" },
    "a closed socket": { kind: "close" },
    garbage: bytes(Uint8Array.from({ length: 64 }, (_, i) => (i * 37 + 11) & 0xff)),
    "half a header": bytes(header(request, 5, 8).subarray(0, HEADER_SIZE / 2)),
    "no payload": bytes(header(request, 5, 0)),
    "a short payload": bytes(answer(request, new Uint8Array(7))),
    "half of the payload": bytes(answer(request, new Uint8Array(8)).subarray(0, 15)),
    "a payload of 4 GiB": bytes(header(request, 5, 0xffff_ffff)),
    "another request's answer": bytes(answer(request + 1, u64(0n))),
    "a request instead": bytes(encodeMessage(request, u64(0n), "request")),
    "version 2": bytes(header(request, 6, 8)),
    "descriptors that nobody asked for": { kind: "bytes", bytes: answer(request, u64(0n)), fds: 3 },
    "more descriptors than anyone may send": { kind: "bytes", bytes: answer(request, u64(0n)), fds: 12 },
  };
}

const { GetFeatures, GetProtocolFeatures, GetQueueNum } = Request;
describe.each([GetFeatures, GetProtocolFeatures, GetQueueNum])("the handshake: request %i", (request) => {
  test.each(Object.entries(wrongs(request)))(`answered with %s: connecting fails in time`, async (_name, act) => {
    await expect(inTime(connect({ acts: { [request]: act } }))).rejects.toMatchObject({ code: "ERR_TRANSPORT" });
  });
});

test("the handshake: nobody serves the path, or it is too long", async () => {
  const options = { memory, deviceType: TYPE, timeoutMs: TIMEOUT };
  await expect(connectFrontEnd({ ...options, socketPath: `${fake.path}-not` })).rejects.toThrow(
    /nobody serves .*ENOENT/,
  );
  await expect(connectFrontEnd({ ...options, socketPath: "x".repeat(108) })).rejects.toThrow(RangeError);
});

test("the handshake: 0 queues are refused", async () => {
  await expect(connect({ queues: 0 })).rejects.toThrow(/0 queues/);
});

const setUp = [
  Request.SetFeatures,
  Request.SetMemTable,
  Request.SetVringNum,
  Request.SetVringBase,
  Request.SetVringAddr,
  Request.SetVringErr,
  Request.SetVringCall,
  Request.SetVringKick,
  Request.SetVringEnable,
] as const;
describe.each(setUp)("set-up: request %i", (request) => {
  const acts: [string, Act][] = [...Object.entries(wrongs(request)), ["a refusal", { kind: "refuse" }]];
  test.each(acts)("answered with %s: the driver gets an error, and the rings' memory back", async (_name, act) => {
    const on = await connect({ acts: { [request]: act } });
    await expect(inTime(bringUp(on))).rejects.toMatchObject({ name: "VirtioError" });
    expect(allocator.live).toBe(0);
    expect(await on.readStatus()).toBe(DeviceStatus.FAILED | ((await on.readStatus()) & ~DeviceStatus.FAILED));
  });
});

test("SET_MEM_TABLE refused: the error says so, and with how much", async () => {
  const on = await connect({ acts: { [Request.SetMemTable]: { kind: "refuse" } } });
  await expect(bringUp(on)).rejects.toThrow(/refused 1 regions, 1048576 bytes of memory/);
});

const live: [string, () => void][] = [
  ["dies", () => fake.die()],
  ["says what nobody asked for", () => fake.say(answer(Request.GetFeatures, u64(0n)))],
  ["says garbage", () => fake.say(new Uint8Array(40).fill(0xa5))],
];
test.each(live)("§2.1.2 a live back-end that %s: the driver is told, its buffers come back", async (_name, act) => {
  const said: string[] = [];
  const note = (message: string): void => void said.push(message);
  const on = await connect({}, { debug: note, info: note, warn: note, error: note });
  const { device, interrupts } = await bringUp(on);
  send(device, "first");
  send(device, "second");
  act();
  await eventually(() => expect(interrupts.takeConfigChanged()).toBe(true));
  expect(on.lost).toBeDefined();
  expect(said).toContain("a vhost-user back-end was lost");
  expect(await device.needsReset()).toBe(true);
  expect(await device.reset()).toEqual([["first", "second"]]);
  expect(allocator.live).toBe(0);
  on.notify(0);
  await expect(bringUp(on)).rejects.toMatchObject({ code: "ERR_TRANSPORT" });
  // It returns: the same transport goes on, and the device is as new.
  await on.reconnect();
  expect(on.lost).toBeUndefined();
  const again = await bringUp(on);
  expect(await again.device.needsReset()).toBe(false);
  send(again.device, "third");
  expect(await again.device.reset()).toEqual([["third"]]);
});

test("§2.1.2 a driver that looks only after the reconnect still finds that its device was lost", async () => {
  const on = await connect();
  const { device } = await bringUp(on);
  send(device, "lent");
  fake.die();
  await eventually(() => expect(on.lost).toBeDefined());
  await on.reconnect();
  expect(await device.needsReset()).toBe(true);
  expect(await device.reset()).toEqual([["lent"]]);
  expect(await (await bringUp(on)).device.needsReset()).toBe(false);
});

test("§2.1.2 the error descriptor of a queue rings: the device needs a reset, the connection stays", async () => {
  const on = await connect();
  const { device, interrupts } = await bringUp(on);
  fake.fail(0);
  await eventually(() => expect(interrupts.takeConfigChanged()).toBe(true));
  expect(await device.needsReset()).toBe(true);
  await device.reset();
  expect(on.lost).toBeUndefined();
  expect(await (await bringUp(on)).device.needsReset()).toBe(false);
});

test.each([
  ["silence", { kind: "silence" }],
  ["another queue's answer", { kind: "bytes", bytes: answer(Request.GetVringBase, u64(5n)) }],
] as [string, Act][])("GET_VRING_BASE answered with %s: the reset ends in time, buffers come back", async (_n, act) => {
  const on = await connect({ acts: { [Request.GetVringBase]: act } });
  const { device } = await bringUp(on);
  send(device, "lent");
  expect(await inTime(device.reset())).toEqual([["lent"]]);
  expect(on.lost).toMatch(/GET_VRING_BASE/);
  expect(await on.readStatus()).toBe(0);
});

test("the back-end dies while a reset waits for it: the reset ends", async () => {
  const on = await connect({ acts: { [Request.GetVringBase]: { kind: "close" } } });
  const { device } = await bringUp(on);
  send(device, "lent");
  expect(await device.reset()).toEqual([["lent"]]);
});

const { MQ, REPLY_ACK } = ProtocolFeature;
test.each([
  ["no protocol features at all", { features: 1n << 32n }],
  ["none of the protocol features", { protocol: 0n }],
  ["MQ only", { protocol: protocolBits(MQ) }],
  ["REPLY_ACK only", { protocol: protocolBits(REPLY_ACK) }],
] as [string, FakeScript][])("a back-end that offers %s: only what was offered is asked", async (_name, script) => {
  const on = await connect(script);
  const { device } = await bringUp(on);
  // Without REPLY_ACK nothing says that a message has arrived, but the next answer.
  await device.reset();
  const asked = fake.received.map(({ request }) => requestName(request));
  const protocol = (script.features ?? PROTOCOL_FEATURES_BIT) & PROTOCOL_FEATURES_BIT;
  expect(asked.includes("SET_VRING_ENABLE")).toBe(protocol !== 0n);
  expect(asked.includes("GET_PROTOCOL_FEATURES")).toBe(protocol !== 0n);
  expect(asked.includes("GET_QUEUE_NUM")).toBe(script.protocol === protocolBits(MQ));
  const acknowledged = fake.received.some(({ kind }) => kind === "request-with-ack");
  expect(acknowledged).toBe(script.protocol === protocolBits(REPLY_ACK));
  expect(asked).not.toContain("RESET_DEVICE");
  expect(asked).not.toContain("SET_STATUS");
});

test("without VERSION_1 the driver says what is missing", async () => {
  const on = await connect({ features: PROTOCOL_FEATURES_BIT });
  await expect(bringUp(on)).rejects.toMatchObject({ code: "ERR_FEATURE_MISSING" });
});

test.each([
  ["an id that was never published", 7, 0],
  ["an id that is no descriptor", 0xffff_ffff, 0],
  ["a length that the chain does not have", 0, 65],
])("§2.7.8 used with %s: the queue is broken, and the reset gives everything back", async (_name, id, length) => {
  const on = await connect();
  const { device, interrupts } = await bringUp(on);
  send(device, "lent");
  const said = fake.received.find(({ request }) => request === Request.SetVringAddr);
  const used = readVringAddress(said?.payload ?? new Uint8Array(0))?.used ?? 0n;
  const [region] = memory.regions;
  const at = guestAddress(Number(used - (region?.userAddress ?? 0n)));
  const ring = memory.guest.bytes(at, 12);
  const view = new DataView(ring.buffer, ring.byteOffset, ring.length);
  view.setUint32(4, id, true);
  view.setUint32(8, length, true);
  view.setUint16(2, 1, true);
  fake.interrupt(0);
  await eventually(() => expect(interrupts.takeQueueUsed()).toBe(true));
  device.queue(0).poll();
  expect(device.queue(0).violation).toBeDefined();
  expect(await device.reset()).toEqual([["lent"]]);
  expect(allocator.live).toBe(0);
});

test("1,000 connections, every third of them lost, leave no descriptor behind", async () => {
  const before = open();
  for (let i = 0; i < 1_000; i++) {
    const on = await connect();
    if (i % 3 === 0) {
      await bringUp(on);
      fake.die();
    }
    await on.close();
    fake.received.length = 0;
  }
  await eventually(() => expect(fake.connections).toBe(0));
  // The listener's end of the last ones is closed now: what is open is what was open.
  expect(open()).toBeLessThanOrEqual(before);
});

test("closed while its queues are set up: the call ends, and their descriptors are closed", async () => {
  const on = await connect({ acts: { [Request.SetVringBase]: { kind: "silence" } } });
  const outcome = expect(bringUp(on)).rejects.toMatchObject({ code: "ERR_TRANSPORT" });
  await eventually(() => expect(fake.received.at(-1)?.request).toBe(Request.SetVringBase));
  await inTime(on.close());
  await outcome;
  expect(allocator.live).toBe(0);
});

test("disconnect: a back-end that misbehaves is let go of, and another one may come", async () => {
  const on = await connect();
  const { device } = await bringUp(on);
  send(device, "lent");
  on.disconnect("it lies");
  on.disconnect("it lies");
  expect(on.lost).toBe("it lies");
  expect(await device.needsReset()).toBe(true);
  expect(await device.reset()).toEqual([["lent"]]);
  await eventually(() => expect(fake.connections).toBe(0));
  await on.reconnect();
  const again = await bringUp(on);
  send(again.device, "more");
  expect(await again.device.reset()).toEqual([["more"]]);
});

test("disconnected while its queues are set up: the call ends, and their descriptors are closed", async () => {
  const on = await connect({ acts: { [Request.SetVringBase]: { kind: "silence" } } });
  const outcome = expect(bringUp(on)).rejects.toMatchObject({ code: "ERR_TRANSPORT" });
  await eventually(() => expect(fake.received.at(-1)?.request).toBe(Request.SetVringBase));
  on.disconnect("changed our mind");
  await outcome;
  expect(allocator.live).toBe(0);
});

test("SET_BACKEND_REQ_FD refused: the device works without it", async () => {
  const protocol = protocolBits(ProtocolFeature.REPLY_ACK, ProtocolFeature.CONFIG, ProtocolFeature.BACKEND_REQ);
  const on = await connect({ protocol, acts: { [Request.SetBackendReqFd]: { kind: "refuse" } } });
  const { device } = await bringUp(on);
  expect(await device.reset()).toEqual([[]]);
});

test("a closed transport: calls say so, hot calls do nothing, closing again is harmless", async () => {
  const on = await connect();
  await on.close();
  await on.close();
  on.notify(0);
  await expect(on.writeStatus(1)).rejects.toThrow(/closed/);
  await expect(on.reconnect()).rejects.toThrow(/closed/);
});
