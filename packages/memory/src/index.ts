/**
 * Guest-physical memory. Reading order: guest-address.ts (what an address is), region.ts, guest-memory.ts (checked
 * access), dma-buffer.ts (who may touch what while a device has it); then ./allocator.
 */
export * from "./guest-address.ts";
export { type AllocateOptions, GuestMemory, GuestMemoryError } from "./guest-memory.ts";
export { MemoryRegion, type RegionSource } from "./region.ts";
export { type DmaAllocator, DmaBuffer, DmaBufferError } from "./dma-buffer.ts";
export { WASM_PAGE_SIZE } from "./wasm.ts";
