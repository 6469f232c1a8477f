/** Brings the device up (virtio 1.3 §3.1.1, §5.10.5) and makes the driver. */
import { DeviceType, featureBit, InterruptFlags, initializeDevice } from "@toril/virtio";
import { Errno, SystemError } from "@toril/virtio/platform";
import { CONFIG_SIZE, readGuestCid } from "../wire/config.ts";
import { QueueIndex, VsockFeature } from "../wire/ops.ts";
import type { VsockDriver } from "./api.ts";
import { Driver } from "./driver.ts";
import { EventRing } from "./event-ring.ts";
import { settingsFrom, type VsockDriverOptions } from "./options.ts";
import { PacketPool } from "./packet-pool.ts";
import { RxRing } from "./rx-ring.ts";
import { emptyStats } from "./stats.ts";
import type { Token } from "./token.ts";
import { TxRing } from "./tx-ring.ts";
import type { DriverParts } from "./wiring.ts";

/** Events are rare: a migration. */
const EVENT_QUEUE_SIZE = 16;
const STREAM = featureBit(VsockFeature.Stream);
const NO_IMPLIED_STREAM = featureBit(VsockFeature.NoImpliedStream);

/**
 * Resets the device, negotiates, fills the RX and event rings, and goes live.
 * @throws VirtioError when the device cannot be brought up; SystemError EPROTONOSUPPORT when it has no stream sockets,
 * ENOMEM when the allocator cannot give receive buffers and headers, EPROTO when the guest CID is a reserved one.
 */
export async function createVsockDriver(options: VsockDriverOptions): Promise<VsockDriver> {
  const settings = settingsFrom(options);
  const { transport, allocator, doorbell } = options;
  const stats = emptyStats();
  const interrupts = new InterruptFlags(doorbell);
  let prepared: Omit<DriverParts, "device" | "settings" | "interrupts" | "stats" | "wake"> | undefined;
  const { queueSize } = settings;
  // Part of a chunk is a chain of two: header, and bytes where they lie.
  if (queueSize < 2 || transport.maxQueueSize(QueueIndex.Tx) < 2) {
    throw new SystemError(Errno.EINVAL, "vsock", "a TX queue of 1 entry: header and bytes need 2");
  }
  const taken: { free(): void }[] = [];
  const device = await initializeDevice<Token>(transport, {
    type: DeviceType.Vsock,
    // §5.10.3: seqpacket is not wanted; NO_IMPLIED_STREAM is accepted where it is offered.
    features: { wanted: STREAM | NO_IMPLIED_STREAM },
    queues: [
      { index: QueueIndex.Rx, size: queueSize },
      { index: QueueIndex.Tx, size: queueSize, indirectSegments: settings.txSegments },
      { index: QueueIndex.Event, size: EVENT_QUEUE_SIZE },
    ],
    allocator,
    interrupts,
    tap: options.tap,
    prepare: async (starting) => {
      // §5.10.3.1: once NO_IMPLIED_STREAM is negotiated, stream sockets are there only if STREAM is.
      if (starting.has(VsockFeature.NoImpliedStream) && !starting.has(VsockFeature.Stream)) {
        throw new SystemError(Errno.EPROTONOSUPPORT, "vsock", "the device offers no stream sockets");
      }
      // §5.10.5: the guest CID, then buffers for events, then for packets.
      const guestCid = readGuestCid(await starting.readConfig(0, CONFIG_SIZE));
      if (guestCid === undefined) {
        throw new SystemError(Errno.EPROTO, "vsock", "the device presents a reserved guest CID (§5.10.4)");
      }
      const ringBuffers = new PacketPool(allocator, settings.txMemory);
      const events = orNoMemory("events", EventRing.create(starting.queue(QueueIndex.Event), allocator), taken);
      const rx = orNoMemory(
        `receive buffers of ${settings.rxBufferSize} bytes`,
        RxRing.create(starting.queue(QueueIndex.Rx), allocator, settings.rxBuffers, settings.rxBufferSize),
        taken,
      );
      const headers = TxRing.create(
        starting.queue(QueueIndex.Tx),
        ...([allocator, ringBuffers, stats, settings.txSegments] as const),
      );
      const tx = orNoMemory("packet headers", headers, taken);
      starting.publish(QueueIndex.Event);
      starting.publish(QueueIndex.Rx);
      events.published();
      rx.published();
      prepared = { guestCid, rx, tx, events, packets: new PacketPool(allocator, settings.txMemory), ringBuffers };
    },
  }).catch((error: unknown) => {
    // The device was reset: nothing it had is in use any more.
    for (const ring of taken) ring.free();
    throw error;
  });
  if (prepared === undefined) throw new TypeError("the device went live before it was prepared");
  return new Driver({ ...prepared, settings, device, interrupts, stats, wake: () => doorbell?.ring() });
}

function orNoMemory<T extends { free(): void }>(what: string, made: T | undefined, taken: { free(): void }[]): T {
  if (made === undefined) throw new SystemError(Errno.ENOMEM, "vsock", `no guest memory for ${what}`);
  taken.push(made);
  return made;
}
