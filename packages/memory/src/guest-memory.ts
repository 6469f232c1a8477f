/**
 * Guest-physical memory: one or more regions, each a window of an ArrayBuffer. Everything that a driver and a device
 * exchange lies here, and both reach it only through checked addresses.
 *
 * The size of a memory never changes: growable buffers make every access several times slower, and a device may hold
 * views for as long as it lives.
 */
import { addressAt, type GuestAddress, guestAddress } from "./guest-address.ts";
import { MemoryRegion, type RegionSource } from "./region.ts";
import { type BulkMemory, createWasmMemory, instantiateBulk, WASM_PAGE_SIZE } from "./wasm.ts";

/** How a guest memory is made. */
export interface AllocateOptions {
  /** Size in bytes; rounded up to a whole number of 64 KiB pages. */
  readonly size: number;
  /** `shared`: threads of this process can all map it. `unshared` (the default) is faster for `Uint8Array.set`. */
  readonly sharing?: "shared" | "unshared";
  /** Guest-physical address of its first byte; 0 unless told. A multiple of 4,096. */
  readonly base?: GuestAddress;
}

const BASE_ALIGNMENT = 4096;

/** Below this many bytes a loop reads faster than `subarray` and `set` do (measured: 15 ns against 35 at 16 bytes). */
const LOOP_BELOW = 17;

/**
 * From this many bytes on, a copy between a shared buffer and one that is aligned differently takes a detour. On shared
 * memory V8 copies word by word when both sides agree modulo 8, and else byte by byte, seven times slower. The detour
 * copies to where they agree and then moves the bytes into place (measured: level at 256 bytes, 4 times faster at 4 KiB).
 */
const DETOUR_FROM = 512;
const WORD = 8;

/** A caller asked for guest memory that is not there. */
export class GuestMemoryError extends RangeError {
  override readonly name = "GuestMemoryError";
  readonly code = "ERR_GUEST_ADDRESS";
}

export class GuestMemory {
  readonly regions: readonly MemoryRegion[];
  /** Total bytes in all regions. */
  readonly size: number;
  /** The wasm memory behind a memory that `allocate` made: post it to a worker and `attach` it there. */
  readonly wasm: object | undefined;
  readonly #first: MemoryRegion;
  readonly #bulk: BulkMemory | undefined;

  private constructor(regions: readonly MemoryRegion[], wasm?: { readonly buffer: ArrayBufferLike }) {
    const [first] = regions;
    if (first === undefined) throw new GuestMemoryError("a guest memory needs at least one region");
    this.regions = regions;
    this.#first = first;
    this.size = regions.reduce((sum, region) => sum + region.size, 0);
    this.wasm = wasm;
    this.#bulk = wasm === undefined ? undefined : instantiateBulk(wasm);
  }

  /**
   * Fresh zeroed memory.
   * @throws RangeError when the size is not positive, the base misaligned, or the engine cannot give that much.
   */
  static allocate(options: AllocateOptions): GuestMemory {
    const { size, sharing = "unshared", base = guestAddress(0) } = options;
    if (!Number.isSafeInteger(size) || size <= 0) {
      throw new RangeError(`a guest memory of ${size} bytes cannot be made: give a positive whole number`);
    }
    if (base % BASE_ALIGNMENT !== 0) {
      throw new RangeError(`a guest memory cannot start at ${base}: give a multiple of ${BASE_ALIGNMENT}`);
    }
    const pages = Math.ceil(size / WASM_PAGE_SIZE);
    const wasm = createWasmMemory(pages, sharing);
    if (wasm !== undefined) return GuestMemory.attach(wasm, base);
    const bytes = pages * WASM_PAGE_SIZE;
    return GuestMemory.map([
      { base, buffer: sharing === "shared" ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes) },
    ]);
  }

  /**
   * The same memory in another thread, from the `wasm` that was posted to it.
   * @throws TypeError when `wasm` is no WebAssembly.Memory.
   */
  static attach(wasm: object, base: GuestAddress = guestAddress(0)): GuestMemory {
    const memory = wasm as { readonly buffer?: ArrayBufferLike };
    const { buffer } = memory;
    if (!(buffer instanceof Object && typeof buffer.byteLength === "number")) {
      throw new TypeError("this is no WebAssembly.Memory: post the `wasm` of a shared guest memory, and attach that");
    }
    return new GuestMemory([new MemoryRegion({ base, buffer })], memory as { readonly buffer: ArrayBufferLike });
  }

  /**
   * Memory that somebody else mapped (a memfd, a hypervisor's RAM).
   * @throws GuestMemoryError when regions overlap or there is none; RangeError when one is not inside its buffer.
   */
  static map(sources: readonly RegionSource[]): GuestMemory {
    const regions = sources.map((source) => new MemoryRegion(source)).sort((a, b) => a.base - b.base);
    let end = 0;
    for (const { base, size } of regions) {
      if (base < end)
        throw new GuestMemoryError(`the region at ${base} overlaps the one before it: map each address once`);
      end = base + size;
    }
    return new GuestMemory(regions);
  }

  /** The region that holds all of `length` bytes at `address`; `undefined` when none does. A run never spans two. */
  locate(address: number, length: number): MemoryRegion | undefined {
    if (this.#first.holds(address, length)) return this.#first;
    if (this.regions.length === 1) return undefined;
    for (const region of this.regions) if (region.holds(address, length)) return region;
    return undefined;
  }

  /** Whether `length` bytes at `address` all lie in one region. */
  contains(address: number, length: number): boolean {
    return this.locate(address, length) !== undefined;
  }

  /**
   * Says no to a range that is not there.
   * @throws GuestMemoryError when the range is not in one region.
   */
  check(address: GuestAddress, length: number): void {
    this.#require(address, length);
  }

  /**
   * A view of guest memory: no copy, and it stays true to what a device writes.
   * @throws GuestMemoryError when the range is not in one region.
   */
  bytes(address: GuestAddress, length: number): Uint8Array {
    const region = this.#require(address, length);
    const offset = address - region.base;
    return region.u8.subarray(offset, offset + length);
  }

  /**
   * Copies bytes into guest memory.
   * @throws GuestMemoryError when the range is not in one region.
   */
  write(address: GuestAddress, source: Uint8Array): void {
    const region = this.#require(address, source.length);
    const offset = address - region.base;
    if (this.#bulk === undefined) {
      region.u8.set(source, offset);
    } else if (source.buffer === region.buffer) {
      this.#bulk.copy(region.byteOffset + offset, source.byteOffset, source.length);
    } else if (source.length >= DETOUR_FROM && region.sharing === "shared") {
      writeShared(region, offset, source, this.#bulk);
    } else {
      region.u8.set(source, offset);
    }
  }

  /**
   * Copies bytes out of guest memory; `target.length` bytes are read.
   * @throws GuestMemoryError when the range is not in one region.
   */
  read(address: GuestAddress, target: Uint8Array): void {
    const { length } = target;
    const region = this.#require(address, length);
    const offset = address - region.base;
    if (length < LOOP_BELOW && target.buffer !== region.buffer) {
      const { u8 } = region;
      for (let i = 0; i < length; i++) target[i] = u8[offset + i] as number;
    } else if (this.#bulk !== undefined && target.buffer === region.buffer) {
      this.#bulk.copy(target.byteOffset, region.byteOffset + offset, length);
    } else if (length >= DETOUR_FROM && region.sharing === "shared" && target.buffer instanceof ArrayBuffer) {
      readShared(region, offset, target);
    } else {
      target.set(region.u8.subarray(offset, offset + length));
    }
  }

  /**
   * Copies inside guest memory; the ranges may overlap.
   * @throws GuestMemoryError when either range is not in one region.
   */
  copy(target: GuestAddress, source: GuestAddress, length: number): void {
    const to = this.#require(target, length);
    const from = this.#require(source, length);
    const toOffset = target - to.base;
    const fromOffset = source - from.base;
    // A memory with a wasm memory behind it has one region, which is all of it.
    if (this.#bulk !== undefined) this.#bulk.copy(toOffset, fromOffset, length);
    else if (to === from) to.u8.copyWithin(toOffset, fromOffset, fromOffset + length);
    else to.u8.set(from.u8.subarray(fromOffset, fromOffset + length), toOffset);
  }

  /**
   * Fills guest memory with one byte value.
   * @throws GuestMemoryError when the range is not in one region.
   */
  fill(address: GuestAddress, length: number, value = 0): void {
    const region = this.#require(address, length);
    const offset = address - region.base;
    if (this.#bulk !== undefined) this.#bulk.fill(offset, value, length);
    else region.u8.fill(value, offset, offset + length);
  }

  #require(address: number, length: number): MemoryRegion {
    const region = this.locate(address, length);
    if (region !== undefined) return region;
    const known = this.regions.map((r) => `${r.base}..${addressAt(r.base, r.size)}`).join(", ");
    throw new GuestMemoryError(`${length} bytes at guest address ${address} are not in guest memory (${known})`);
  }
}

/** Writes into the target range at the next place that agrees with the source modulo a word, then moves that down. */
function writeShared(region: MemoryRegion, offset: number, source: Uint8Array, bulk: BulkMemory): void {
  const { u8 } = region;
  const skew = (source.byteOffset - region.byteOffset - offset) & (WORD - 1);
  if (skew === 0) {
    u8.set(source, offset);
    return;
  }
  const moved = source.length - skew;
  u8.set(source.subarray(0, moved), offset + skew);
  bulk.copy(region.byteOffset + offset, region.byteOffset + offset + skew, moved);
  for (let i = moved; i < source.length; i++) u8[offset + i] = source[i] as number;
}

/** The same in the other direction: the caller's own, unshared target is where the bytes are moved. */
function readShared(region: MemoryRegion, offset: number, target: Uint8Array): void {
  const { u8 } = region;
  const { length } = target;
  const skew = (region.byteOffset + offset - target.byteOffset) & (WORD - 1);
  const moved = length - skew;
  target.set(u8.subarray(offset, offset + moved), skew);
  if (skew === 0) return;
  target.copyWithin(0, skew, skew + moved);
  for (let i = moved; i < length; i++) target[i] = u8[offset + i] as number;
}
