/**
 * What every Transport must do, as test cases for any test runner: `for (const { title, run } of
 * transportCompliance(create)) it(title, run)`. Behind the transport must be an EchoDevice with the options asked for,
 * wherever it runs: in this thread, in a worker, in another process.
 */
import type { DmaAllocator, DmaBuffer } from "@toril/memory";
import { DeviceStatus } from "../device-status.ts";
import { Feature, featureBit } from "../features.ts";
import { type InitializeOptions, initializeDevice } from "../initialize-device.ts";
import type { InitializedDevice } from "../initialized-device.ts";
import { InterruptFlags } from "../interrupt-flags.ts";
import type { MaybePromise, Transport } from "../transport.ts";
import { ECHO_DEVICE_TYPE, ECHO_REQUIRED, ECHO_REVERSED, type EchoOptions } from "./echo-device.ts";

export interface TransportUnderTest {
  readonly transport: Transport;
  /** Memory for rings and buffers, 256 KiB at least. */
  readonly allocator: DmaAllocator;
  /** Lets the device's side run for a while, and deliver its interrupts. */
  settle(): MaybePromise<void>;
  /** Calls `setConfig` of the EchoDevice. */
  setConfig(config: Uint8Array): MaybePromise<void>;
  /** Calls `needsReset` of the EchoDevice's context. */
  breakDevice(reason: string): MaybePromise<void>;
  /** Calls after each case, whether it failed or not. */
  dispose(): MaybePromise<void>;
}

export interface ComplianceCase {
  readonly title: string;
  /** Rejects with an Error that says what was wrong. */
  run(): Promise<void>;
}

/** How often `settle` may be called for one condition. */
const PATIENCE = 1_000;

type Body = (subject: TransportUnderTest) => Promise<void>;

export function transportCompliance(
  create: (options: EchoOptions) => MaybePromise<TransportUnderTest>,
): readonly ComplianceCase[] {
  const one = (title: string, options: EchoOptions, body: Body): ComplianceCase => ({
    title,
    run: async () => {
      const subject = await create(options);
      try {
        await body(subject);
      } finally {
        await subject.dispose();
      }
    },
  });
  return [
    one("§2.1 shows the device's type, queues and their sizes", { queueMaxSizes: [64, 8] }, async ({ transport }) => {
      equal(transport.deviceType, ECHO_DEVICE_TYPE, "device type");
      equal(transport.queueCount, 2, "queue count");
      equal(transport.maxQueueSize(0), 64, "size of queue 0");
      equal(transport.maxQueueSize(1), 8, "size of queue 1");
      equal(transport.maxQueueSize(2), 0, "size of a queue that is not there");
    }),
    one("§2.1 a status written is read back, and a reset makes it 0", {}, async ({ transport }) => {
      await transport.reset();
      equal(await transport.readStatus(), 0, "status after reset");
      await transport.writeStatus(DeviceStatus.ACKNOWLEDGE);
      await transport.writeStatus(DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER);
      equal(await transport.readStatus(), 3, "status");
      await transport.reset();
      equal(await transport.readStatus(), 0, "status after reset");
    }),
    one("§2.2.1 FEATURES_OK does not stick for a feature that was not offered", {}, async ({ transport }) => {
      equal(await negotiate(transport, featureBit(Feature.VERSION_1) | featureBit(20)), "refused", "negotiation");
    }),
    one("§6.1 FEATURES_OK does not stick without VERSION_1", {}, async ({ transport }) => {
      equal(await negotiate(transport, featureBit(ECHO_REVERSED)), "refused", "negotiation");
    }),
    one(
      "§2.2.2 FEATURES_OK does not stick without what the device requires",
      { requires: "bit-1" },
      async (subject) => {
        const { transport } = subject;
        equal(await negotiate(transport, featureBit(Feature.VERSION_1)), "refused", "negotiation");
        const enough = featureBit(Feature.VERSION_1) | featureBit(ECHO_REQUIRED);
        equal(await negotiate(transport, enough), "accepted", "negotiation after a reset");
      },
    ),
    one("§2.5 config space reads as the device has it, and 0 past its end", {}, async ({ transport }) => {
      sameBytes(await transport.readConfig(0, 4), [0, 1, 2, 3], "the first bytes");
      sameBytes(await transport.readConfig(14, 4), [14, 15, 0, 0], "the last bytes");
      sameBytes(await transport.readConfig(1_000, 2), [0, 0], "bytes far past the end");
    }),
    one("§2.5 config space can be written by a live driver", {}, async (subject) => {
      const { device } = await start(subject);
      await subject.transport.writeConfig(2, Uint8Array.of(77, 78));
      sameBytes(await device.readConfig(0, 5), [0, 1, 77, 78, 4], "config");
    }),
    one("§2.5.2 the generation changes with config space, and the driver is told", {}, async (subject) => {
      const { device, interrupts } = await start(subject);
      const before = await subject.transport.readConfigGeneration();
      await subject.setConfig(Uint8Array.of(9, 8, 7));
      await until(subject, () => interrupts.takeConfigChanged(), "no configuration change was announced");
      check((await subject.transport.readConfigGeneration()) !== before, "the generation is the same");
      sameBytes(await device.readConfig(0, 4), [9, 8, 7, 0], "config");
    }),
    one("§2.7 buffers of many sizes come back as they were sent", {}, async (subject) => {
      const { device } = await start(subject);
      const io = new EchoClient(subject, device);
      for (const length of [1, 2, 15, 16, 17, 255, 4_096, 65_536]) await io.roundTrip(0, length);
    }),
    one("§2.7 every queue works, over many wraps of its ring", { queueMaxSizes: [4, 2, 16] }, async (subject) => {
      const { device } = await start(subject, [0, 1, 2]);
      const io = new EchoClient(subject, device);
      for (let i = 0; i < 100; i++) await io.roundTrip(i % 3, 100 + i);
    }),
    one("§2.7 a queue that the driver leaves out stays off", { queueMaxSizes: [4, 4, 4] }, async (subject) => {
      const { device } = await start(subject, [2]);
      await new EchoClient(subject, device).roundTrip(0, 64);
    }),
    one("§2.2 a negotiated feature takes effect", {}, async (subject) => {
      const { device } = await start(subject, [0], featureBit(ECHO_REVERSED));
      check(device.has(ECHO_REVERSED), "bit 0 was not negotiated");
      await new EchoClient(subject, device).roundTrip(0, 1_000);
    }),
    one("§2.7.7 a driver that armed is interrupted", {}, async (subject) => {
      const { device, interrupts } = await start(subject);
      const io = new EchoClient(subject, device);
      await io.roundTrip(0, 10);
      interrupts.takeQueueUsed();
      for (let i = 0; i < 5; i++) {
        check(!device.queue(0).armUsedNotifications(), "nothing is in flight, but used chains are waiting");
        io.send(0, 10);
        // A device in another thread may still tell of the buffer before: an interrupt may come for nothing.
        await until(subject, () => interrupts.takeQueueUsed() && io.collect(0), `no interrupt for buffer ${i}`);
      }
    }),
    one("§2.4.1 after a reset nothing is used or interrupted; the device starts again", {}, async (subject) => {
      const { device, interrupts } = await start(subject);
      const io = new EchoClient(subject, device);
      await io.roundTrip(0, 100);
      const buffer = io.send(0, 100);
      const inFlight = await device.reset();
      check((inFlight[0] ?? []).length <= 1, "more came back than was in flight");
      io.forget(buffer);
      const bytes = buffer.writable;
      bytes.fill(0xee);
      interrupts.takeQueueUsed();
      for (let i = 0; i < 10; i++) await subject.settle();
      check(!interrupts.takeQueueUsed(), "an interrupt came after the reset");
      check(
        bytes.every((byte) => byte === 0xee),
        "the device wrote to memory after the reset",
      );
      const again = await start(subject);
      await new EchoClient(subject, again.device).roundTrip(0, 100);
    }),
    one("§2.1.2 a device that needs a reset says so, and works after it", {}, async (subject) => {
      const { device, interrupts } = await start(subject);
      await subject.breakDevice("a test asked for it");
      await until(subject, () => interrupts.takeConfigChanged(), "the driver was not told");
      check(await device.needsReset(), "DEVICE_NEEDS_RESET is not set");
      await device.reset();
      const again = await start(subject);
      check(!(await again.device.needsReset()), "DEVICE_NEEDS_RESET outlived the reset");
      await new EchoClient(subject, again.device).roundTrip(0, 100);
    }),
  ];
}

async function negotiate(transport: Transport, features: bigint): Promise<"accepted" | "refused"> {
  await transport.reset();
  await transport.writeStatus(DeviceStatus.ACKNOWLEDGE);
  await transport.writeStatus(DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER);
  await transport.writeDriverFeatures(features);
  const wanted = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK;
  await transport.writeStatus(wanted);
  return ((await transport.readStatus()) & DeviceStatus.FEATURES_OK) === 0 ? "refused" : "accepted";
}

async function start(
  subject: TransportUnderTest,
  indices: readonly number[] = [0],
  wanted = 0n,
): Promise<{ device: InitializedDevice<DmaBuffer>; interrupts: InterruptFlags }> {
  const interrupts = new InterruptFlags();
  const options: InitializeOptions<DmaBuffer> = {
    type: ECHO_DEVICE_TYPE,
    features: { wanted },
    queues: indices.map((index) => ({ index, size: 64 })),
    allocator: subject.allocator,
    interrupts,
  };
  return { device: await initializeDevice(subject.transport, options), interrupts };
}

/** Sends buffers through the echo device and checks what comes back. Each is half readable, half writable. */
class EchoClient {
  readonly #subject: TransportUnderTest;
  readonly #device: InitializedDevice<DmaBuffer>;

  constructor(subject: TransportUnderTest, device: InitializedDevice<DmaBuffer>) {
    this.#subject = subject;
    this.#device = device;
  }

  async roundTrip(position: number, length: number): Promise<void> {
    this.send(position, length);
    await until(this.#subject, () => this.collect(position), `${length} bytes did not come back`);
  }

  send(position: number, length: number): DmaBuffer {
    const buffer = this.#subject.allocator.allocateDma(2 * length);
    if (buffer === undefined) throw new Error(`the test's memory is exhausted: ${2 * length} bytes`);
    const bytes = buffer.writable;
    for (let i = 0; i < length; i++) bytes[i] = (i * 7 + length) & 0xff;
    bytes.fill(0, length);
    const queue = this.#device.queue(position);
    check(queue.beginChain(2), "the ring is full");
    queue.addReadable(buffer.address, length);
    queue.addWritable(buffer.address + length, length);
    buffer.lendToWrite();
    queue.endChain(buffer);
    this.#device.publish(position);
    return buffer;
  }

  collect(position: number): boolean {
    const queue = this.#device.queue(position);
    const buffer = queue.poll();
    check(queue.violation === undefined, `the device broke the queue: ${queue.violation?.message ?? ""}`);
    if (buffer === undefined) return false;
    buffer.giveBack();
    const length = buffer.length / 2;
    equal(queue.usedLength, length, "bytes written by the device");
    const answer = buffer.bytes.slice(length);
    sameBytes(this.#device.has(ECHO_REVERSED) ? answer.reverse() : answer, buffer.bytes.subarray(0, length), "echo");
    buffer.free();
    return true;
  }

  /** The device was reset: the buffer is ours again. */
  forget(buffer: DmaBuffer): void {
    buffer.giveBack();
  }
}

async function until(subject: TransportUnderTest, condition: () => boolean, failure: string): Promise<void> {
  for (let i = 0; i < PATIENCE; i++) {
    if (condition()) return;
    await subject.settle();
  }
  throw new Error(failure);
}

function check(condition: boolean, failure: string): void {
  if (!condition) throw new Error(failure);
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

function sameBytes(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  equal(actual.length, expected.length, `${what}: length`);
  for (let i = 0; i < expected.length; i++) equal(actual[i], expected[i], `${what}: byte ${i}`);
}
