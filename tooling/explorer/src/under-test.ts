/** What is explored: bundled from the packages' sources, by their public entries, with stand-ins for shared memory. */
export { Core, WakeWord } from "@toril/kernel";
export { DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
export { Heap, RemoteHeap } from "@toril/memory/allocator";
export { DeviceHost, DeviceStatus, Feature, featureBit, InterruptFlags } from "@toril/virtio";
export { layoutAt, SplitDeviceQueue, SplitDriverQueue } from "@toril/virtqueue";
// @boundaries-ignore the dedicated machine keeps these to itself, and they are where its wake-ups could get lost
export { RegisterPage } from "../../../packages/machine/src/dedicated/register-page.ts";
// @boundaries-ignore see above
export { RegisterServer } from "../../../packages/machine/src/dedicated/register-server.ts";
// @boundaries-ignore see above
export { RegisterTransport } from "../../../packages/machine/src/dedicated/register-transport.ts";
