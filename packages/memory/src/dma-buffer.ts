/**
 * A run of guest memory with an owner. While a device may touch it, it is lent, and the type of the loan says what its
 * owner may still do:
 *
 * | state        | the device may | the owner may                  |
 * |--------------|----------------|--------------------------------|
 * | owned        | nothing        | read, write, lend, free        |
 * | lent to read | read           | read, lend to read again       |
 * | lent to write| write          | nothing, until it comes back   |
 * | freed        | nothing        | nothing                        |
 *
 * Many may read at once (one cached file page serves many connections), only one may write: the rule that Rust's
 * borrows follow. Every breach throws where it is made, because it is the caller's bug and would otherwise show up as
 * corrupted data somewhere else.
 */
import type { GuestAddress } from "./guest-address.ts";
import type { GuestMemory } from "./guest-memory.ts";

/** A breach of a buffer's ownership: `code` says which, `address` whose. */
export class DmaBufferError extends Error {
  override readonly name = "DmaBufferError";
  readonly code: "ERR_BUFFER_LENT" | "ERR_BUFFER_FREED" | "ERR_BUFFER_NOT_LENT";
  readonly address: GuestAddress;
  constructor(code: DmaBufferError["code"], address: GuestAddress, message: string) {
    super(message);
    this.code = code;
    this.address = address;
  }
}

/** Gives out buffers; `undefined` when memory is exhausted, which is a state to wait out and not an error. */
export interface DmaAllocator {
  readonly memory: GuestMemory;
  /** @param alignment a power of two, in bytes; 16 unless told. */
  allocateDma(length: number, alignment?: number): DmaBuffer | undefined;
}

const OWNED = 0;
const LENT_TO_WRITE = -1;
const FREED = -2;

export class DmaBuffer {
  readonly memory: GuestMemory;
  readonly address: GuestAddress;
  /** Length in bytes. */
  readonly length: number;
  readonly #onFree: (buffer: DmaBuffer) => void;
  /** Made when it is first asked for: a buffer that only devices touch needs none, and making it is the dear part. */
  #view: Uint8Array | undefined;
  /** OWNED, LENT_TO_WRITE, FREED, or the number of loans for reading. */
  #loans = OWNED;
  #retired = false;

  /**
   * Called by allocators. `onFree` gets the memory back.
   * @throws GuestMemoryError when the buffer is not in guest memory.
   */
  constructor(memory: GuestMemory, address: GuestAddress, length: number, onFree: (buffer: DmaBuffer) => void) {
    this.memory = memory;
    this.address = address;
    this.length = length;
    this.#onFree = onFree;
    memory.check(address, length);
  }

  get state(): "owned" | "lent-to-read" | "lent-to-write" | "freed" {
    if (this.#loans > OWNED) return "lent-to-read";
    if (this.#loans === OWNED) return "owned";
    return this.#loans === FREED ? "freed" : "lent-to-write";
  }

  /**
   * The bytes, to read. Do not keep the view beyond the next loan.
   * @throws DmaBufferError when lent to write or freed.
   */
  get bytes(): Uint8Array {
    if (this.#loans < OWNED) throw this.#breach("be read");
    this.#view ??= this.memory.bytes(this.address, this.length);
    return this.#view;
  }

  /**
   * The bytes, to write. Do not keep the view beyond the next loan.
   * @throws DmaBufferError unless owned.
   */
  get writable(): Uint8Array {
    if (this.#loans !== OWNED) throw this.#breach("be written");
    this.#view ??= this.memory.bytes(this.address, this.length);
    return this.#view;
  }

  /**
   * What `bytes` asks, without making the view.
   * @throws DmaBufferError when lent to write or freed.
   */
  checkReadable(): void {
    if (this.#loans < OWNED) throw this.#breach("be read");
  }

  /**
   * Lends the buffer to a device that reads it; may be done many times over.
   * @throws DmaBufferError when lent to write or freed.
   */
  lendToRead(): void {
    if (this.#loans < OWNED) throw this.#breach("be lent to read");
    this.#loans++;
  }

  /**
   * Lends the buffer to one device that writes it.
   * @throws DmaBufferError unless owned.
   */
  lendToWrite(): void {
    if (this.#loans !== OWNED) throw this.#breach("be lent to write");
    this.#loans = LENT_TO_WRITE;
  }

  /**
   * Ends one loan; the last one frees a retired buffer.
   * @throws DmaBufferError when it is not lent.
   */
  giveBack(): void {
    if (this.#loans > OWNED) this.#loans--;
    else if (this.#loans === LENT_TO_WRITE) this.#loans = OWNED;
    else throw this.#breach("be given back");
    if (this.#retired && this.#loans === OWNED) this.free();
  }

  /**
   * Gives the memory back to its allocator.
   * @throws DmaBufferError when lent or already freed.
   */
  free(): void {
    if (this.#loans !== OWNED) throw this.#breach("be freed");
    this.#loans = FREED;
    this.#onFree(this);
  }

  /**
   * Frees the buffer now, or when its last loan ends: for a cache that drops what others still send. Who still has a
   * loan may take further ones until then.
   * @throws DmaBufferError when already freed or retired.
   */
  retire(): void {
    if (this.#loans === FREED || this.#retired) throw this.#breach("be retired");
    if (this.#loans === OWNED) this.free();
    else this.#retired = true;
  }

  #breach(wish: string): DmaBufferError {
    const problem = `the ${this.length}-byte buffer at guest address ${this.address} cannot ${wish}`;
    const { address } = this;
    if (this.#loans === FREED) return new DmaBufferError("ERR_BUFFER_FREED", address, `${problem}: it is freed`);
    if (this.#loans === OWNED) return new DmaBufferError("ERR_BUFFER_NOT_LENT", address, `${problem}: nobody holds it`);
    if (this.#retired && wish === "be retired") {
      return new DmaBufferError("ERR_BUFFER_FREED", address, `${problem}: it is already, and goes with its last loan`);
    }
    const remedy = "wait until the device has returned it";
    return new DmaBufferError("ERR_BUFFER_LENT", address, `${problem}: it is ${this.state}; ${remedy}`);
  }
}
