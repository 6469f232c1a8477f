/**
 * Memory that is freed at once: blocks are cut one behind the other from chunks of a heap, and none goes back alone.
 * For what lives as long as one thread, one connection or one request.
 */
import { type DmaAllocator, DmaBuffer } from "../dma-buffer.ts";
import type { GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import { HeapError } from "./heap-error.ts";
import { checkRequest } from "./request.ts";
import { GRANULE, MAX_SMALL } from "./size-classes.ts";

/** Where an arena gets its chunks, and who guards its blocks: a heap. */
export interface ChunkSource {
  readonly memory: GuestMemory;
  /** Bytes to leave behind each block; 0 when nobody looks at them. */
  readonly guardBytes: number;
  take(length: number, alignment: number): GuestAddress | undefined;
  give(chunk: GuestAddress): void;
  protect(guard: number): void;
  /** The damage to a guard, when there is some. */
  inspect(guard: number): HeapError | undefined;
}

export interface ArenaOptions {
  /** Size of the first chunk in bytes; each further one is twice as long, up to 1 MiB. 16 KiB unless told. */
  readonly chunkBytes?: number;
}

/** Chunks stop growing here: a longer one would hold memory for nothing more often than it saves a call. */
const MAX_CHUNK = 1 << 20;

export class Arena implements DmaAllocator {
  readonly memory: GuestMemory;
  readonly #source: ChunkSource;
  readonly #firstChunkBytes: number;
  readonly #chunks: GuestAddress[] = [];
  readonly #sizes: number[] = [];
  readonly #buffers: DmaBuffer[] = [];
  readonly #guards: number[] = [];
  /** The free part of the last chunk. */
  #next = 0;
  #end = 0;
  #bytesInUse = 0;
  #state: "open" | "freed" = "open";

  /** Called by heaps. @throws RangeError when `chunkBytes` is no size. */
  constructor(source: ChunkSource, { chunkBytes = MAX_SMALL }: ArenaOptions = {}) {
    checkRequest(chunkBytes, GRANULE);
    this.memory = source.memory;
    this.#source = source;
    this.#firstChunkBytes = chunkBytes;
  }

  /** Bytes given out since the last reset. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** Bytes taken from the heap. */
  get bytesHeld(): number {
    return this.#sizes.reduce((sum, size) => sum + size, 0);
  }

  /**
   * A block that lives until the arena is reset or freed; `undefined` when the heap has no room. It holds whatever
   * was there before.
   * @param alignment a power of two, in bytes; 16 unless told.
   * @throws RangeError for an impossible length or alignment. @throws HeapError when the arena is freed.
   */
  allocate(length: number, alignment: number = GRANULE): GuestAddress | undefined {
    checkRequest(length, alignment);
    if (this.#state === "freed") throw this.#gone();
    // An empty block takes a byte all the same: no two blocks have one address.
    const bytes = Math.max(1, length + this.#source.guardBytes);
    let address = Math.ceil(this.#next / alignment) * alignment;
    if (address + bytes > this.#end) {
      if (!this.#addChunk(bytes, alignment)) return undefined;
      address = this.#next;
    }
    if (this.#source.guardBytes > 0) {
      this.#source.protect(address + length);
      this.#guards.push(address + length);
    }
    this.#next = address + bytes;
    this.#bytesInUse += length;
    return address as GuestAddress;
  }

  /** A buffer that the arena frees with itself; to free it earlier only ends its use. */
  allocateDma(length: number, alignment: number = GRANULE): DmaBuffer | undefined {
    const address = this.allocate(length, alignment);
    if (address === undefined) return undefined;
    const buffer = new DmaBuffer(this.memory, address, length, keepUntilReset);
    this.#buffers.push(buffer);
    return buffer;
  }

  /**
   * Takes all blocks back, and keeps the first chunk for the next ones.
   * @throws HeapError when a device still has a buffer (then nothing is taken back), when the arena is freed, or,
   * guarded, when something wrote beyond a block (then all is taken back).
   */
  reset(): void {
    const damage = this.#clear(1);
    this.#next = this.#chunks[0] ?? 0;
    this.#end = this.#next + (this.#sizes[0] ?? 0);
    if (damage !== undefined) throw damage;
  }

  /**
   * Takes all blocks back and ends the arena.
   * @throws HeapError as `reset` does.
   */
  free(): void {
    const damage = this.#clear(0);
    this.#state = "freed";
    if (damage !== undefined) throw damage;
  }

  #addChunk(bytes: number, alignment: number): boolean {
    const last = this.#sizes[this.#sizes.length - 1];
    const planned = last === undefined ? this.#firstChunkBytes : Math.max(last, Math.min(last * 2, MAX_CHUNK));
    let size = Math.max(bytes, planned);
    let chunk = this.#source.take(size, alignment);
    if (chunk === undefined && size > bytes) {
      size = bytes;
      chunk = this.#source.take(size, alignment);
    }
    if (chunk === undefined) return false;
    this.#chunks.push(chunk);
    this.#sizes.push(size);
    this.#next = chunk;
    this.#end = chunk + size;
    return true;
  }

  #clear(chunksToKeep: number): HeapError | undefined {
    if (this.#state === "freed") throw this.#gone();
    for (const buffer of this.#buffers) {
      if (buffer.state === "owned" || buffer.state === "freed") continue;
      const what = `the arena cannot be cleared: its ${buffer.length}-byte buffer at ${buffer.address} is ${buffer.state}`;
      throw new HeapError("ERR_HEAP_LENT", buffer.address, what, "wait until the device has returned it");
    }
    let damage: HeapError | undefined;
    for (const buffer of this.#buffers.splice(0)) if (buffer.state === "owned") buffer.free();
    for (const guard of this.#guards.splice(0)) damage ??= this.#source.inspect(guard);
    this.#sizes.length = Math.min(this.#sizes.length, chunksToKeep);
    for (const chunk of this.#chunks.splice(chunksToKeep)) this.#source.give(chunk);
    this.#next = 0;
    this.#end = 0;
    this.#bytesInUse = 0;
    return damage;
  }

  #gone(): HeapError {
    const what = "the arena is freed and has no memory";
    return new HeapError("ERR_HEAP_ARENA_FREED", 0 as GuestAddress, what, "make a new one, or reset instead of free");
  }
}

function keepUntilReset(): void {}
