/** Brings a virtio-fs device up (virtio 1.3 §3.1.1, §5.11) and starts a FUSE session on it. */
import { addressAt, type DmaAllocator, type DmaBuffer } from "@toril/memory";
import {
  DeviceType,
  type InitializedDevice,
  initializeDevice,
  type QueueTap,
  type Transport,
  VirtioError,
} from "@toril/virtio";
import { type Clock, type Doorbell, Errno, type Log, SystemError, silentLog } from "@toril/virtio/platform";
import { getU32 } from "../wire/index.ts";
import { decode, fromBytes } from "./byte-string.ts";
import type { CacheMode } from "./cache-policy.ts";
import { Cancellation } from "./cancellation.ts";
import { buildClient } from "./client.ts";
import { type FileDriver, VirtioFileDriver } from "./driver.ts";
import { DriverInterrupts } from "./driver-interrupts.ts";
import { BUFFER_LIMIT, DATA_ALIGNMENT, GuestBuffers } from "./guest-buffers.ts";
import { HIPRIO_SLOT_SIZE, HIPRIO_SLOTS, HiprioSlot } from "./hiprio.ts";
import { Operations } from "./operations.ts";
import { MAX_DATA_SEGMENTS, RequestSlot, SLOT_SIZE } from "./request-slot.ts";
import { RequestEngine } from "./requests.ts";
import { acceptInit, initRequest, type Session } from "./session.ts";
import { createCounters } from "./stats.ts";

export interface FileDriverOptions {
  readonly transport: Transport;
  /** Where the rings, the requests and the file cache lie. */
  readonly allocator: DmaAllocator;
  readonly clock: Clock;
  readonly log?: Log;
  /** Of the loop that polls the driver; none when that loop never sleeps. */
  readonly doorbell?: Doorbell;
  /** `auto` and 16 MiB unless told; never more than a quarter of guest memory. */
  readonly cache?: { readonly mode?: CacheMode; readonly bytes?: number };
  /** Entries of each queue, a power of two from 4 on; 128 unless told, fewer when the device has fewer. */
  readonly queueSize?: number;
  /** Request queues to use; 1 unless told, as many as the device has at most. */
  readonly requestQueues?: number;
  /** Requests under way at once; 64 unless told. Each takes 2,560 bytes of guest memory. */
  readonly maxRequests?: number;
  /** Names, and whole paths, that are kept; 16,384 unless told. */
  readonly maxNames?: number;
  /** Sees every request and reply; `fuseTrace` makes one that tells them. */
  readonly tap?: QueueTap | undefined;
  /** Milliseconds for the device to answer INIT and DESTROY; 10,000 unless told. */
  readonly sessionTimeoutMs?: number;
  /**
   * Milliseconds for the device to answer any other request. One that takes longer is taken for dead: the session fails,
   * and every call ends with EIO. For ever unless told: a device may wait for a disk, or for a network.
   */
  readonly answerTimeoutMs?: number;
}

const DEFAULT_CACHE_BYTES = 16 * 2 ** 20;
/** Of guest memory: the rest is needed for rings, sockets and programs. */
const LARGEST_CACHE_SHARE = 4;
const DEFAULT_QUEUE_SIZE = 128;
const DEFAULT_MAX_REQUESTS = 64;
const DEFAULT_MAX_NAMES = 16_384;
const DEFAULT_SESSION_TIMEOUT = 10_000;
/** Request, data, reply, and one to spare: fewer descriptors cannot carry a READ. */
const LEAST_QUEUE_SIZE = 4;
/** Config space (§5.11.4): tag[36], then le32 num_request_queues. */
const TAG_SIZE = 36;
const CONFIG_SIZE = 40;

type Token = RequestSlot | HiprioSlot;

/**
 * Brings a virtio-fs device up and starts a session.
 * @throws VirtioError when the device cannot be set up
 * @throws SystemError EPROTO for another FUSE version, ETIMEDOUT when INIT is not answered, ENOMEM, the device's errno
 */
export async function createFileDriver(options: FileDriverOptions): Promise<FileDriver> {
  const { transport, allocator } = options;
  const interrupts = new DriverInterrupts(options.doorbell);
  const requestQueues = Math.max(1, Math.min(options.requestQueues ?? 1, transport.queueCount - 1));
  const size = options.queueSize ?? DEFAULT_QUEUE_SIZE;
  // §5.11.2: queue 0 is hiprio, the request queues follow (we do not negotiate a notification queue).
  const requests = Array.from({ length: requestQueues }, (_, i) => ({
    index: 1 + i,
    size,
    indirectSegments: MAX_DATA_SEGMENTS + 2,
  }));
  const device = await initializeDevice<Token>(transport, {
    type: DeviceType.FileSystem,
    queues: [{ index: 0, size }, ...requests],
    allocator,
    interrupts,
    tap: options.tap,
  });
  const memory: DmaBuffer[] = [];
  try {
    return await startDriver(options, device, interrupts, memory);
  } catch (error) {
    await device.reset();
    for (const buffer of memory) {
      if (buffer.state === "lent-to-write") buffer.giveBack();
      if (buffer.state === "owned") buffer.free();
    }
    throw error;
  }
}

/** @param memory gets what was allocated, so that the caller can free it when this throws */
async function startDriver(
  options: FileDriverOptions,
  device: InitializedDevice<Token>,
  interrupts: DriverInterrupts,
  memory: DmaBuffer[],
): Promise<FileDriver> {
  const { transport, allocator, clock, log = silentLog, maxRequests = DEFAULT_MAX_REQUESTS } = options;
  const { sessionTimeoutMs = DEFAULT_SESSION_TIMEOUT } = options;
  const queueSizes = device.queues.slice(1).map((queue) => queue.size);
  const tag = await readConfig(device, queueSizes);
  const counters = createCounters();
  const slots = takeMemory(allocator, SLOT_SIZE * maxRequests, memory).address;
  const hiprio = takeMemory(allocator, HIPRIO_SLOT_SIZE * HIPRIO_SLOTS, memory).address;
  const reserve = takeMemory(allocator, BUFFER_LIMIT, memory);
  reserve.giveBack(); // unlike the others it is lent request by request
  let driver: VirtioFileDriver | undefined;
  const engine = new RequestEngine({
    device,
    interrupts,
    slots: placesAt(slots, SLOT_SIZE, maxRequests).map((address) => new RequestSlot(transport.memory, address)),
    hiprioSlots: placesAt(hiprio, HIPRIO_SLOT_SIZE, HIPRIO_SLOTS).map(
      (address) => new HiprioSlot(transport.memory, address),
    ),
    clock,
    log,
    counters,
    onFailure: (errno, reason) => driver?.onFailure(errno, reason),
  });
  const session = await startSession(engine, interrupts, clock, sessionTimeoutMs);
  engine.limitAnswers(options.answerTimeoutMs ?? Number.POSITIVE_INFINITY);
  memory.pop();
  const buffers = new GuestBuffers({ allocator, clock, counters, buffersBack: () => engine.buffersBack }, reserve);
  const cacheBytes = Math.min(
    options.cache?.bytes ?? DEFAULT_CACHE_BYTES,
    Math.floor(transport.memory.size / LARGEST_CACHE_SHARE),
  );
  const client = buildClient({
    engine,
    buffers,
    session,
    counters,
    allocator,
    clock,
    mode: options.cache?.mode ?? "auto",
    cacheBytes,
    maxNames: options.maxNames ?? DEFAULT_MAX_NAMES,
    maxSegments: Math.min(...queueSizes) - 2,
  });
  driver = new VirtioFileDriver({
    tag,
    session,
    device,
    engine,
    client,
    counters,
    interrupts,
    clock,
    log,
    sessionTimeoutMs,
    memory,
  });
  const { maxRead, maxWrite } = session;
  log.info("virtio-fs session", { tag, fuse: `7.${session.minor}`, maxRead, maxWrite });
  return driver;
}

/** INIT is the first request of a session, and nobody else polls yet. */
async function startSession(
  engine: RequestEngine,
  interrupts: DriverInterrupts,
  clock: Clock,
  timeoutMs: number,
): Promise<Session> {
  const cancel = new Cancellation({ clock, signals: [], timeoutMs });
  try {
    const asked = new Operations(engine).init(initRequest(), cancel);
    const answer = await interrupts.drive(engine, clock, Promise.race([asked, cancel.whenCancelled()]));
    if (typeof answer !== "number") return acceptInit(answer);
    const why = answer === -Errno.ETIMEDOUT ? `no answer in ${timeoutMs} ms` : "the device refused the session";
    throw new SystemError(-answer, "init", engine.failure ?? why);
  } finally {
    cancel.end();
  }
}

/** Reads the tag, and checks what §5.11.4 says of the queues. */
async function readConfig(device: InitializedDevice<Token>, queueSizes: readonly number[]): Promise<string> {
  const config = await device.readConfig(0, CONFIG_SIZE);
  const count = getU32(config, TAG_SIZE);
  // §5.11.4: num_request_queues "is the total number of request virtqueues exposed by the device".
  if (count < queueSizes.length) {
    throw new VirtioError("ERR_QUEUE", `the device says it has ${count} request queues: ${queueSizes.length} are used`);
  }
  if (Math.min(...queueSizes) < LEAST_QUEUE_SIZE) {
    throw new VirtioError("ERR_QUEUE", `a queue of fewer than ${LEAST_QUEUE_SIZE} entries cannot carry file data`);
  }
  // §5.11.4: UTF-8, padded with NULs, "not NUL-terminated if the encoded bytes take up the entire field".
  const end = config.indexOf(0);
  return decode(fromBytes(config, 0, end === -1 || end > TAG_SIZE ? TAG_SIZE : end));
}

/** Memory that the device may touch for as long as it lives. */
function takeMemory(allocator: DmaAllocator, bytes: number, memory: DmaBuffer[]): DmaBuffer {
  const buffer = allocator.allocateDma(bytes, DATA_ALIGNMENT);
  if (buffer === undefined) throw new SystemError(Errno.ENOMEM, "init", `no ${bytes} bytes of guest memory are left`);
  buffer.lendToWrite();
  memory.push(buffer);
  return buffer;
}

function placesAt(base: DmaBuffer["address"], size: number, count: number): DmaBuffer["address"][] {
  return Array.from({ length: count }, (_, i) => addressAt(base, i * size));
}
