/** What the messages carry: encoders and decoders, in the words of the specification. A decoder checks the length first. */

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A u64: features, a status, or a queue index beside its descriptor. */
export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, true);
  return bytes;
}

/** `undefined` unless it is exactly a u64. */
export function readU64(bytes: Uint8Array): bigint | undefined {
  return bytes.length === 8 ? viewOf(bytes).getBigUint64(0, true) : undefined;
}

/** Bits 0–7 of the payload of SET_VRING_KICK, _CALL and _ERR are the index. */
export const VRING_INDEX_MASK = 0xffn;

/** "A vring state description": index, then a number. */
export interface VringState {
  readonly index: number;
  readonly value: number;
}

export function vringState(index: number, value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index, value).buffer);
}

export function readVringState(bytes: Uint8Array): VringState | undefined {
  if (bytes.length !== 8) return undefined;
  const view = viewOf(bytes);
  return { index: view.getUint32(0, true), value: view.getUint32(4, true) };
}

/** "A vring address description": the areas at addresses of the front-end's own process. */
export interface VringAddress {
  readonly index: number;
  readonly descriptors: bigint;
  readonly used: bigint;
  readonly available: bigint;
}

const VRING_ADDRESS_SIZE = 40;

export function vringAddress({ index, descriptors, used, available }: VringAddress): Uint8Array {
  const bytes = new Uint8Array(VRING_ADDRESS_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, index, true);
  view.setBigUint64(8, descriptors, true);
  view.setBigUint64(16, used, true);
  view.setBigUint64(24, available, true);
  return bytes;
}

export function readVringAddress(bytes: Uint8Array): VringAddress | undefined {
  if (bytes.length !== VRING_ADDRESS_SIZE) return undefined;
  const view = viewOf(bytes);
  const [index, at] = [view.getUint32(0, true), (offset: number): bigint => view.getBigUint64(offset, true)];
  return { index, descriptors: at(8), used: at(16), available: at(24) };
}

/** "A single memory region description". */
export interface MemoryRegionDescription {
  readonly guestAddress: bigint;
  readonly size: bigint;
  readonly userAddress: bigint;
  readonly mmapOffset: bigint;
}

const REGION_SIZE = 32;
/** How many regions one table has at most. */
const MAX_REGIONS = 8;

/** "Multiple memory regions description": their number, padding, the regions; the descriptors come in the same order. */
export function memoryTable(regions: readonly MemoryRegionDescription[]): Uint8Array {
  const bytes = new Uint8Array(8 + REGION_SIZE * regions.length);
  const view = viewOf(bytes);
  view.setUint32(0, regions.length, true);
  regions.forEach((region, i) => {
    const at = 8 + REGION_SIZE * i;
    view.setBigUint64(at, region.guestAddress, true);
    view.setBigUint64(at + 8, region.size, true);
    view.setBigUint64(at + 16, region.userAddress, true);
    view.setBigUint64(at + 24, region.mmapOffset, true);
  });
  return bytes;
}

export function readMemoryTable(bytes: Uint8Array): MemoryRegionDescription[] | undefined {
  if (bytes.length < 8) return undefined;
  const view = viewOf(bytes);
  const count = view.getUint32(0, true);
  if (count > MAX_REGIONS || bytes.length < 8 + REGION_SIZE * count) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const at = 8 + REGION_SIZE * i;
    return {
      guestAddress: view.getBigUint64(at, true),
      size: view.getBigUint64(at + 8, true),
      userAddress: view.getBigUint64(at + 16, true),
      mmapOffset: view.getBigUint64(at + 24, true),
    };
  });
}

/** "Virtio device config space": offset, size, flags (0: a driver's write), then the bytes. */
export interface ConfigSpace {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export const CONFIG_HEADER_SIZE = 12;
/** VHOST_USER_MAX_CONFIG_SIZE. */
export const MAX_CONFIG_SIZE = 256;

export function configSpace(offset: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CONFIG_HEADER_SIZE + content.length);
  const view = viewOf(bytes);
  view.setUint32(0, offset, true);
  view.setUint32(4, content.length, true);
  bytes.set(content, CONFIG_HEADER_SIZE);
  return bytes;
}

export function readConfigSpace(bytes: Uint8Array): ConfigSpace | undefined {
  if (bytes.length < CONFIG_HEADER_SIZE) return undefined;
  const view = viewOf(bytes);
  const size = view.getUint32(4, true);
  if (size > MAX_CONFIG_SIZE || bytes.length !== CONFIG_HEADER_SIZE + size) return undefined;
  return { offset: view.getUint32(0, true), bytes: bytes.slice(CONFIG_HEADER_SIZE) };
}

/** "Inflight description": where in the descriptor's file the buffers in flight are tracked. */
export interface Inflight {
  readonly mmapSize: bigint;
  readonly mmapOffset: bigint;
  readonly queues: number;
  readonly queueSize: number;
}

/** u64, u64, u16, u16, and what the compiler pads. */
const INFLIGHT_SIZE = 24;
const INFLIGHT_PACKED_SIZE = 20;

export function inflight({ mmapSize, mmapOffset, queues, queueSize }: Inflight): Uint8Array {
  const bytes = new Uint8Array(INFLIGHT_SIZE);
  const view = viewOf(bytes);
  view.setBigUint64(0, mmapSize, true);
  view.setBigUint64(8, mmapOffset, true);
  view.setUint16(16, queues, true);
  view.setUint16(18, queueSize, true);
  return bytes;
}

export function readInflight(bytes: Uint8Array): Inflight | undefined {
  if (bytes.length !== INFLIGHT_SIZE && bytes.length !== INFLIGHT_PACKED_SIZE) return undefined;
  const view = viewOf(bytes);
  return {
    mmapSize: view.getBigUint64(0, true),
    mmapOffset: view.getBigUint64(8, true),
    queues: view.getUint16(16, true),
    queueSize: view.getUint16(18, true),
  };
}
