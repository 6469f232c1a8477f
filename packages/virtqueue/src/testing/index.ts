/** For tests of drivers and devices: a queue pair over fresh memory, and peers that do exactly what a test says. */
export { createBumpAllocator, createQueuePair, type QueuePair, type QueuePairOptions } from "./queue-pair.ts";
export { type QueuePairCase, type QueuePairUnderTest, queuePairCompliance } from "./queue-pair-compliance.ts";
export {
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  type RawDescriptor,
  readRawDescriptor,
  writeRawDescriptor,
} from "./raw-descriptor.ts";
export { readLe16, readLe32, readLe64, writeLe16, writeLe32, writeLe64 } from "./raw-memory.ts";
export { ScriptedDevice } from "./scripted-device.ts";
export { ScriptedDriver, type UsedElement } from "./scripted-driver.ts";
