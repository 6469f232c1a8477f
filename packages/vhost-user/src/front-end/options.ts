/** How a front-end is made, and what is known of a device when its back-end does not tell. */
import { DeviceType } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import type { MemfdMemory } from "../memory/memfd-memory.ts";
import { MAX_CONFIG_SIZE } from "../protocol/payloads.ts";
import type { InterruptMode } from "./live-queue.ts";

export interface FrontEndOptions {
  /** The back-end's Unix socket. */
  readonly socketPath: string;
  readonly deviceType: number;
  /** May be shared by several front-ends. Stays its owner's: close it after them. */
  readonly memory: MemfdMemory;
  /** The device's config space, where the back-end does not have it (virtio-fs: `virtioFsConfig`). */
  readonly config?: Uint8Array;
  /** Bytes of config space that the back-end is asked for; by device type unless told. */
  readonly configSize?: number;
  /** Queues, where the back-end does not tell (without MQ); by device type unless told. */
  readonly queueCount?: number;
  /** The protocol has no message that tells: 1,024 unless told, as QEMU has it. For all queues, or one by one. */
  readonly maxQueueSizes?: number | readonly number[];
  /**
   * `event-loop` (the default): interrupts come by Node's event loop, for a core that shares it. `polled`: they are
   * looked for in `poll` and `arm`, for a loop that does not let Node's run.
   */
  readonly interrupts?: InterruptMode;
  /** Milliseconds for the back-end to answer one message; 5,000 unless told. */
  readonly timeoutMs?: number;
  readonly log?: Log;
}

export const DEFAULT_TIMEOUT_MS = 5000;
/** What QEMU allows a vhost-user device. */
export const MAX_QUEUE_SIZE = 1024;

export interface DeviceShape {
  readonly queueCount: number;
  readonly configSize: number;
}

/** What a device of this type has, or what the options say. */
export function shapeOf(options: FrontEndOptions): DeviceShape {
  const { queueCount, configSize } = typicalShape(options.deviceType);
  return { queueCount: options.queueCount ?? queueCount, configSize: options.configSize ?? configSize };
}

function typicalShape(deviceType: number): DeviceShape {
  // §5.11.2, §5.11.4: hiprio and one request queue; tag[36] and num_request_queues.
  if (deviceType === DeviceType.FileSystem) return { queueCount: 2, configSize: 40 };
  // §5.10.2, §5.10.4: rx, tx, event; guest_cid.
  if (deviceType === DeviceType.Vsock) return { queueCount: 3, configSize: 8 };
  return { queueCount: 1, configSize: MAX_CONFIG_SIZE };
}

/** @throws RangeError for values that make no sense */
export function checkOptions(options: FrontEndOptions): void {
  const { timeoutMs = 1, queueCount = 1, configSize = 0 } = options;
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) throw new RangeError(`a timeout of ${timeoutMs} ms`);
  if (!(Number.isInteger(queueCount) && queueCount > 0)) throw new RangeError(`${queueCount} queues`);
  if (!(configSize >= 0 && configSize <= MAX_CONFIG_SIZE)) throw new RangeError(`${configSize} bytes of config space`);
}

const TAG_SIZE = 36;

/**
 * The config space of a virtio-fs device (§5.11.4), which virtiofsd leaves to the front-end.
 * @throws RangeError when the tag has more than 36 bytes, or none
 */
export function virtioFsConfig(tag: string, requestQueues = 1): Uint8Array {
  const name = new TextEncoder().encode(tag);
  if (name.length === 0 || name.length > TAG_SIZE) throw new RangeError(`a tag of ${name.length} bytes: use 1 to 36`);
  const config = new Uint8Array(TAG_SIZE + 4);
  config.set(name);
  new DataView(config.buffer).setUint32(TAG_SIZE, requestQueues, true);
  return config;
}
