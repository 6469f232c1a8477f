/**
 * The driver's way to a live device: virtio 1.3 §3.1.1, step by step. What a type's driver adds (which features, which
 * queues, what to put into them before the device goes live) comes in as options.
 */
import type { DmaAllocator, DmaBuffer } from "@toril/memory";
import {
  type DriverQueue,
  type IndirectOptions,
  indirectTableBytes,
  layoutAt,
  queueBytes,
  SplitDriverQueue,
} from "@toril/virtqueue";
import { DeviceStatus } from "./device-status.ts";
import { describeFeatures, Feature, hasFeature } from "./features.ts";
import { InitializedDevice } from "./initialized-device.ts";
import { type FeatureWishes, featuresToAccept } from "./negotiation.ts";
import { type QueueTap, type Tapped, TappedQueue } from "./queue-tap.ts";
import type { InterruptHandler, MaybePromise, Transport } from "./transport.ts";
import { VirtioError } from "./virtio-error.ts";

export interface QueueRequest {
  readonly index: number;
  /** Entries wanted, a power of two; fewer when the device has a smaller maximum. */
  readonly size: number;
  /**
   * Chains of 2 to this many segments go through indirect tables when INDIRECT_DESC is negotiated: each then takes one
   * ring slot. Absent: direct descriptors only.
   */
  readonly indirectSegments?: number;
}

export interface InitializeOptions<Token> {
  /** The device type that the driver is for. */
  readonly type: number;
  readonly features?: FeatureWishes;
  readonly queues: readonly QueueRequest[];
  /** Where the rings come from. */
  readonly allocator: DmaAllocator;
  /** Takes the interrupts; an `InterruptFlags` in most drivers. */
  readonly interrupts?: InterruptHandler;
  /** Sees everything that goes through the queues. */
  readonly tap?: QueueTap | undefined;
  /**
   * Step 7, after the queues are known to the device and before DRIVER_OK: read config space, put receive buffers into
   * queues. `device.publish` holds the notifications
   * back until then.
   */
  readonly prepare?: (device: InitializedDevice<Token>) => MaybePromise<void>;
}

/**
 * Resets the device and brings it up to DRIVER_OK.
 * @throws VirtioError when the device is of another type, lacks or refuses something, or no memory is left. The device
 * is then left with FAILED set, and the rings are freed.
 */
export async function initializeDevice<Token>(
  transport: Transport,
  options: InitializeOptions<Token>,
): Promise<InitializedDevice<Token>> {
  if (transport.deviceType !== options.type) {
    throw new VirtioError(
      "ERR_DEVICE_TYPE",
      `the device has type ${transport.deviceType}, the driver is for ${options.type}`,
    );
  }
  await transport.reset(); // step 1
  let status = 0;
  const advance = async (bit: number): Promise<void> => {
    status |= bit;
    await transport.writeStatus(status);
  };
  const rings: DmaBuffer[] = [];
  try {
    await advance(DeviceStatus.ACKNOWLEDGE); // step 2
    await advance(DeviceStatus.DRIVER); // step 3
    const features = featuresToAccept(await transport.readDeviceFeatures(), options.features ?? {});
    await transport.writeDriverFeatures(features); // step 4
    await advance(DeviceStatus.FEATURES_OK); // step 5
    // Step 6: "Re-read device status to ensure the FEATURES_OK bit is still set".
    if (((await transport.readStatus()) & DeviceStatus.FEATURES_OK) === 0) {
      const message = `the device refused the features ${describeFeatures(features)}`;
      throw new VirtioError("ERR_FEATURES_REFUSED", message);
    }
    // Step 7: the queues, then what the driver's type needs.
    const queues: DriverQueue<Token>[] = [];
    for (const request of options.queues) {
      queues.push(await setUpQueue<Token>(transport, options, request, features, rings));
    }
    if (options.interrupts !== undefined) transport.onInterrupt(options.interrupts);
    const indices = options.queues.map((request) => request.index);
    const device = new InitializedDevice<Token>({ transport, features, queues, indices, rings });
    await options.prepare?.(device);
    await advance(DeviceStatus.DRIVER_OK); // step 8
    if (((await transport.readStatus()) & DeviceStatus.DEVICE_NEEDS_RESET) !== 0) {
      throw new VirtioError("ERR_DEVICE_BROKEN", "the device asked for a reset as soon as it went live");
    }
    device.goLive();
    return device;
  } catch (error) {
    await giveUp(transport, status, rings);
    throw error;
  }
}

async function setUpQueue<Token>(
  transport: Transport,
  { allocator, tap }: Pick<InitializeOptions<Token>, "allocator" | "tap">,
  request: QueueRequest,
  features: bigint,
  rings: DmaBuffer[],
): Promise<DriverQueue<Token>> {
  const size = queueSize(request, transport.maxQueueSize(request.index));
  const ring = takeZeroed(allocator, queueBytes(size), `the rings of queue ${request.index}`);
  rings.push(ring);
  const layout = layoutAt(ring.address, size);
  const eventIdx = hasFeature(features, Feature.EVENT_IDX);
  const indirect = setUpTables(allocator, request, size, features, rings);
  const ringOptions = { memory: transport.memory, layout, eventIdx, ...(indirect === undefined ? {} : { indirect }) };
  const queue =
    tap === undefined
      ? new SplitDriverQueue<Token>(ringOptions)
      : new TappedQueue<Token>(new SplitDriverQueue<Tapped<Token>>(ringOptions), request.index, tap);
  await transport.enableQueue(request.index, layout);
  return queue;
}

function setUpTables(
  allocator: DmaAllocator,
  request: QueueRequest,
  size: number,
  features: bigint,
  rings: DmaBuffer[],
): IndirectOptions | undefined {
  const { index, indirectSegments } = request;
  if (indirectSegments === undefined || !hasFeature(features, Feature.INDIRECT_DESC)) return undefined;
  // §2.7.5.3.1: "A driver MUST NOT create a descriptor chain longer than the Queue Size of the device."
  const maxSegments = Math.min(indirectSegments, size);
  if (maxSegments < 2) return undefined; // a single segment gains nothing by a table
  const tables = takeZeroed(allocator, indirectTableBytes(size, maxSegments), `the indirect tables of queue ${index}`);
  rings.push(tables);
  return { tables, maxSegments };
}

function queueSize(request: QueueRequest, max: number): number {
  const { index, size } = request;
  if (max === 0) throw new VirtioError("ERR_QUEUE", `the device has no queue ${index}`);
  let fitting = size;
  while (fitting > max) fitting /= 2;
  return fitting;
}

/** A ring area: zeroed (§2.7.2 wants the available ring so; we zero all of it), and lent until the device is reset. */
function takeZeroed(allocator: DmaAllocator, bytes: number, what: string): DmaBuffer {
  const ring = allocator.allocateDma(bytes, RING_ALIGNMENT);
  if (ring === undefined) throw new VirtioError("ERR_NO_MEMORY", `no ${bytes} bytes of guest memory for ${what}`);
  ring.writable.fill(0);
  ring.lendToWrite();
  return ring;
}

/** A cache line: the rings of two queues never share one, and the descriptor table's 16 is met. */
const RING_ALIGNMENT = 64;

/**
 * §3.1.1: when a step goes wrong, "the driver SHOULD set the FAILED status bit". A device that went live is reset first:
 * it may have been using the rings. Where that fails, too, the rings stay lent for ever, which is the safe way.
 */
async function giveUp(transport: Transport, status: number, rings: readonly DmaBuffer[]): Promise<void> {
  try {
    if ((status & DeviceStatus.DRIVER_OK) !== 0) await transport.reset();
    await transport.writeStatus((await transport.readStatus()) | DeviceStatus.FAILED);
  } catch {
    return; // The transport is gone; the first error is the one to tell.
  }
  for (const ring of rings) {
    ring.giveBack();
    ring.free();
  }
}
