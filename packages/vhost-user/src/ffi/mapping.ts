/**
 * A mapping of a memfd whose view can outlive it. Views of guest memory get about: a typed array may be kept long after
 * its machine is gone, and touching unmapped memory ends the process. So closing does not unmap: it puts private empty
 * pages in the place of the shared ones, which gives the memory back and cuts the peer off, and leaves the addresses valid.
 * They are unmapped when the last view has been collected.
 */
import { constants } from "node:buffer";
import { libc, MapFlag } from "./libc.ts";

const { Shared, Private, Fixed, Anonymous, NoReserve } = MapFlag;

interface Range {
  readonly pointer: bigint;
  readonly size: number;
}

const collected = new FinalizationRegistry<Range>(({ pointer, size }) => libc().unmap(pointer, size));

export class Mapping {
  readonly pointer: bigint;
  readonly size: number;
  /** Held until `close`: while the mapping is in use its range must not be collected. */
  #buffer: ArrayBuffer | undefined;

  /**
   * Maps `size` bytes of `fd` from `offset` on. Does not keep `fd`.
   * @throws LibcError; RangeError for more than this Node has views for (20: 4 GiB), which would end the process
   */
  constructor(fd: number, size: number, offset = 0) {
    if (size > constants.MAX_LENGTH) {
      throw new RangeError(`a mapping of ${size} bytes: this Node has views of ${constants.MAX_LENGTH} bytes at most`);
    }
    this.pointer = libc().map(null, size, Shared, fd, offset);
    this.size = size;
    const buffer = libc().view(this.pointer, size);
    this.#buffer = buffer;
    collected.register(buffer, { pointer: this.pointer, size });
  }

  /** @throws Error when it is closed */
  get buffer(): ArrayBuffer {
    if (this.#buffer === undefined) throw new Error("this memory has been closed");
    return this.#buffer;
  }

  /** From now on old views read as they were left by nobody: zeros, and what is written to them is seen by nobody. */
  close(): void {
    if (this.#buffer === undefined) return;
    this.#buffer = undefined;
    libc().map(this.pointer, this.size, Private | Fixed | Anonymous | NoReserve, -1, 0);
  }
}
