/** Guest memory as a front-end shares it: a table of regions, each a descriptor. What it says is checked before it is used. */
import { type GuestAddress, GuestMemory, guestAddress } from "@toril/memory";
import { LibcError, libc } from "../ffi/libc.ts";
import { Mapping } from "../ffi/mapping.ts";
import type { MemoryRegionDescription } from "../protocol/payloads.ts";

interface MappedRegion {
  readonly base: number;
  readonly size: number;
  readonly userAddress: bigint;
  readonly mapping: Mapping;
}

export class SharedMemory {
  readonly guest: GuestMemory;
  readonly #regions: readonly MappedRegion[];

  private constructor(guest: GuestMemory, regions: readonly MappedRegion[]) {
    this.guest = guest;
    this.#regions = regions;
  }

  /** Maps a table; why not, when it cannot be. The descriptors stay the caller's. */
  static map(table: readonly MemoryRegionDescription[], fds: readonly number[]): SharedMemory | string {
    if (table.length === 0 || table.length !== fds.length)
      return `${table.length} regions with ${fds.length} descriptors`;
    const regions: MappedRegion[] = [];
    const giveUp = (reason: string): string => {
      for (const { mapping } of regions) mapping.close();
      return reason;
    };
    try {
      for (const [i, region] of table.entries()) {
        const mapped = mapRegion(region, fds[i] ?? -1);
        if (typeof mapped === "string") return giveUp(mapped);
        regions.push(mapped);
      }
      const sources = regions.map(({ base, size, mapping }) => {
        return { base: guestAddress(base), buffer: mapping.buffer, byteOffset: mapping.size - size, size };
      });
      return new SharedMemory(GuestMemory.map(sources), regions);
    } catch (error) {
      if (error instanceof LibcError || error instanceof RangeError) return giveUp(error.message);
      throw error;
    }
  }

  /** Where an address of the front-end's process lies in guest memory; `undefined`: nowhere. */
  guestAddress(userAddress: bigint): GuestAddress | undefined {
    for (const region of this.#regions) {
      const offset = userAddress - region.userAddress;
      if (offset >= 0n && offset < BigInt(region.size)) return guestAddress(region.base + Number(offset));
    }
    return undefined;
  }

  close(): void {
    for (const { mapping } of this.#regions) mapping.close();
  }
}

function mapRegion(region: MemoryRegionDescription, fd: number): MappedRegion | string {
  const [base, size, offset] = [Number(region.guestAddress), Number(region.size), Number(region.mmapOffset)];
  const said = `a region of ${size} bytes at ${base}, from ${offset} of its file`;
  if (!(Number.isSafeInteger(base + size) && Number.isSafeInteger(offset + size) && size > 0)) return said;
  // Beyond the end of the file there is nothing: an access would end this process with SIGBUS.
  if (libc().fileSize(fd) < offset + size) return `${said}, which ends before that`;
  // mmap wants whole pages: from 0 on, so the offset is part of the mapping.
  return { base, size, userAddress: region.userAddress, mapping: new Mapping(fd, offset + size) };
}
