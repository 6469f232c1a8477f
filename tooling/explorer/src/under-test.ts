/** What is explored: bundled from the packages' sources, by their public entries, with stand-ins for shared memory. */
export { Core, WakeWord } from "@toril/kernel";
export { DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
export { layoutAt, SplitDeviceQueue, SplitDriverQueue } from "@toril/virtqueue";
