/**
 * Guest-physical memory: one or more regions, each a window of an ArrayBuffer. Everything that a driver and a device
 * exchange lies here, and both reach it only through checked addresses.
 *
 * The size of a memory never changes: growable buffers make every access several times slower, and a device may hold
 * views for as long as it lives.
 */
import { addressAt, type GuestAddress, guestAddress } from "./guest-address.ts";
import { MemoryRegion } from "./region.ts";
import { type CopyWithin, createWasmMemory, instantiateCopy, WASM_PAGE_SIZE } from "./wasm.ts";

/** How a guest memory is made. */
export interface AllocateOptions {
  /** Size in bytes; rounded up to a whole number of 64 KiB pages. */
  readonly size: number;
  /** `shared`: threads of this process can all map it. `unshared` (the default) is faster for `Uint8Array.set`. */
  readonly sharing?: "shared" | "unshared";
  /** Guest-physical address of its first byte; 0 unless told. A multiple of 4,096. */
  readonly base?: GuestAddress;
}

/** What a region of mapped memory is made of. */
export interface RegionSource {
  readonly base: GuestAddress;
  readonly buffer: ArrayBufferLike;
  /** Where the region starts in `buffer`, in bytes; 0 unless told. A multiple of 8. */
  readonly byteOffset?: number;
  /** Its size in bytes; the rest of `buffer` unless told. */
  readonly size?: number;
}

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
  readonly #copy: CopyWithin | undefined;

  private constructor(regions: readonly MemoryRegion[], wasm?: { readonly buffer: ArrayBufferLike }) {
    const [first] = regions;
    if (first === undefined) throw new GuestMemoryError("a guest memory needs at least one region");
    this.regions = regions;
    this.#first = first;
    this.size = regions.reduce((sum, region) => sum + region.size, 0);
    this.wasm = wasm;
    this.#copy = wasm === undefined ? undefined : instantiateCopy(wasm);
  }

  /**
   * Fresh zeroed memory.
   * @throws RangeError when the size is not positive or the engine cannot give that much.
   */
  static allocate(options: AllocateOptions): GuestMemory {
    const { size, sharing = "unshared", base = guestAddress(0) } = options;
    if (!Number.isSafeInteger(size) || size <= 0) {
      throw new RangeError(`a guest memory of ${size} bytes cannot be made: give a positive whole number`);
    }
    const pages = Math.ceil(size / WASM_PAGE_SIZE);
    const wasm = createWasmMemory(pages, sharing);
    if (wasm !== undefined) return GuestMemory.attach(wasm, base);
    const bytes = pages * WASM_PAGE_SIZE;
    return GuestMemory.map([
      { base, buffer: sharing === "shared" ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes) },
    ]);
  }

  /** The same memory in another thread, from the `wasm` that was posted to it. */
  static attach(wasm: object, base: GuestAddress = guestAddress(0)): GuestMemory {
    const memory = wasm as { readonly buffer: ArrayBufferLike };
    return new GuestMemory([new MemoryRegion({ base, buffer: memory.buffer })], memory);
  }

  /**
   * Memory that somebody else mapped (a memfd, a hypervisor's RAM).
   * @throws GuestMemoryError when regions overlap.
   */
  static map(sources: readonly RegionSource[]): GuestMemory {
    const regions = sources.map((source) => new MemoryRegion(source)).sort((a, b) => a.base - b.base);
    regions.reduce((before, region) => {
      if (before.base + before.size > region.base) {
        throw new GuestMemoryError(`the regions at ${before.base} and ${region.base} overlap: map each address once`);
      }
      return region;
    });
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
    if (this.#copy !== undefined && source.buffer === region.buffer) {
      this.#copy(region.byteOffset + offset, source.byteOffset, source.length);
    } else {
      region.u8.set(source, offset);
    }
  }

  /**
   * Copies bytes out of guest memory; `target.length` bytes are read.
   * @throws GuestMemoryError when the range is not in one region.
   */
  read(address: GuestAddress, target: Uint8Array): void {
    const region = this.#require(address, target.length);
    const offset = address - region.base;
    if (this.#copy !== undefined && target.buffer === region.buffer) {
      this.#copy(target.byteOffset, region.byteOffset + offset, target.length);
    } else {
      target.set(region.u8.subarray(offset, offset + target.length));
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
    if (this.#copy !== undefined) this.#copy(toOffset, fromOffset, length);
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
    region.u8.fill(value, offset, offset + length);
  }

  #require(address: number, length: number): MemoryRegion {
    const region = this.locate(address, length);
    if (region !== undefined) return region;
    const known = this.regions.map((r) => `${r.base}..${addressAt(r.base, r.size)}`).join(", ");
    throw new GuestMemoryError(`${length} bytes at guest address ${address} are not in guest memory (${known})`);
  }
}
