/** Whether a queue may lie where a driver puts it (virtio 1.3 §2.7): the addresses are a peer's. */
import type { GuestMemory } from "@toril/memory";
import {
  AVAILABLE_RING_ALIGNMENT,
  availableRingBytes,
  DESCRIPTOR_TABLE_ALIGNMENT,
  descriptorTableBytes,
  isQueueSize,
  type QueueLayout,
  USED_RING_ALIGNMENT,
  usedRingBytes,
} from "@toril/virtqueue";
import { type DriverFault, driverFault } from "./driver-fault.ts";

export function checkQueueLayout(
  memory: GuestMemory,
  queueIndex: number,
  maxSize: number,
  layout: QueueLayout,
): DriverFault | undefined {
  const { size } = layout;
  if (maxSize === 0) return driverFault("2.6", `queue ${queueIndex} enabled: the device does not have it`);
  // §2.7: "Queue Size value is always a power of 2."
  if (!isQueueSize(size) || size > maxSize) {
    return driverFault("2.7", `queue ${queueIndex} of ${size} entries: a power of 2 up to ${maxSize} is wanted`);
  }
  return (
    checkArea(
      memory,
      queueIndex,
      "descriptor table",
      layout.descriptorTable,
      descriptorTableBytes(size),
      DESCRIPTOR_TABLE_ALIGNMENT,
    ) ??
    checkArea(
      memory,
      queueIndex,
      "available ring",
      layout.availableRing,
      availableRingBytes(size),
      AVAILABLE_RING_ALIGNMENT,
    ) ??
    checkArea(memory, queueIndex, "used ring", layout.usedRing, usedRingBytes(size), USED_RING_ALIGNMENT)
  );
}

function checkArea(
  memory: GuestMemory,
  queueIndex: number,
  area: string,
  address: number,
  bytes: number,
  alignment: number,
): DriverFault | undefined {
  const where = `the ${area} of queue ${queueIndex} at ${address}`;
  // §2.7.1: "The driver MUST ensure that the physical address of the first byte of each virtqueue part is a multiple of
  // the specified alignment value".
  if (address % alignment !== 0) return driverFault("2.7.1", `${where} is not aligned to ${alignment} bytes`);
  if (!memory.contains(address, bytes)) return driverFault("2.7", `${where}: its ${bytes} bytes are not guest memory`);
  return undefined;
}
