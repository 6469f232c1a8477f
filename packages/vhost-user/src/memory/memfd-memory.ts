/** Guest memory that other processes can map: each region is a memfd, sealed so that nobody can shorten it. */
import { type GuestAddress, GuestMemory, guestAddress } from "@toril/memory";
import { libc } from "../ffi/libc.ts";
import { Mapping } from "../ffi/mapping.ts";

export interface MemfdRegion {
  readonly base: GuestAddress;
  /** Bytes. */
  readonly size: number;
}

/** A region as a back-end is told of it. */
export interface SharedRegion extends MemfdRegion {
  readonly fd: number;
  /** Where it lies in this process: the address that rings are named by. */
  readonly userAddress: bigint;
}

const PAGE = 4096;
/** "A region is 8 at most": VHOST_MEMORY_BASELINE_NREGIONS, what every back-end takes in one table. */
const MAX_REGIONS = 8;
/** Node 20 aborts on a view of more. */
const MAX_REGION_SIZE = 2 ** 32;

export class MemfdMemory {
  /** What drivers work with. After `close` its views are harmless and empty. */
  readonly guest: GuestMemory;
  readonly #regions: readonly { readonly shared: SharedRegion; readonly mapping: Mapping }[];
  #open = true;

  /**
   * @param layout bytes of one region at address 0, or several regions; sizes and bases are multiples of 4,096
   * @throws RangeError for a layout that cannot be; FfiUnavailable; LibcError when there is no such memory
   */
  constructor(layout: number | readonly MemfdRegion[]) {
    const wanted = typeof layout === "number" ? [{ base: guestAddress(0), size: layout }] : layout;
    if (wanted.length === 0 || wanted.length > MAX_REGIONS) {
      throw new RangeError(`${wanted.length} regions of guest memory: a back-end takes 1 to ${MAX_REGIONS}`);
    }
    for (const { base, size } of wanted) checkRegion(base, size);
    const regions: { readonly shared: SharedRegion; readonly mapping: Mapping }[] = [];
    this.#regions = regions;
    try {
      for (const { base, size } of wanted) {
        const fd = libc().createMemfd("toril guest memory", size);
        let mapping: Mapping;
        try {
          mapping = new Mapping(fd, size);
        } catch (error) {
          libc().close(fd);
          throw error;
        }
        regions.push({ shared: { base, size, fd, userAddress: mapping.pointer }, mapping });
      }
      this.guest = GuestMemory.map(
        regions.map(({ shared, mapping }) => ({ base: shared.base, buffer: mapping.buffer })),
      );
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Empty once closed. */
  get regions(): readonly SharedRegion[] {
    return this.#open ? this.#regions.map(({ shared }) => shared) : [];
  }

  /** The address in this process of a guest address; `undefined` when that is not in guest memory. */
  userAddress(address: number): bigint | undefined {
    for (const { base, size, userAddress } of this.regions) {
      if (address >= base && address < base + size) return userAddress + BigInt(address - base);
    }
    return undefined;
  }

  /** Gives the memory back. Close the transports that use it first: a back-end keeps its own mapping until then. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const { shared, mapping } of this.#regions) {
      mapping.close();
      libc().close(shared.fd);
    }
  }
}

function checkRegion(base: number, size: number): void {
  const fits =
    Number.isSafeInteger(size) && size > 0 && size <= MAX_REGION_SIZE && size % PAGE === 0 && base % PAGE === 0;
  if (fits) return;
  throw new RangeError(`a region of ${size} bytes at ${base}: use multiples of ${PAGE}, and at most 4 GiB`);
}
