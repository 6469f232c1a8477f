/** Files and directories that the guest has open. A descriptor is closed when its last call in the thread pool is done. */
import { closeSync } from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { FileHandle, NodeId } from "@toril/virtio-fs/device";
import type { HostNode } from "./host-node.ts";

interface DirectoryName {
  readonly name: Uint8Array;
  readonly type: number;
}

export type OpenHandle = OpenFile | OpenDirectory;

export interface OpenFile {
  readonly kind: "file";
  readonly target: HostNode;
  readonly descriptor: number;
  /** Calls in the thread pool that use the descriptor. */
  running: number;
  released: "no" | "yes";
}

export interface OpenDirectory {
  readonly kind: "directory";
  readonly target: HostNode;
  /** As they were when reading started: what makes offsets stable. */
  names: readonly DirectoryName[];
}

export class OpenHandles {
  readonly #handles = new Map<FileHandle, OpenHandle>();
  readonly #limit: number;
  #last = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** @throws SystemError EMFILE */
  requireRoom(call: string): void {
    if (this.#handles.size < this.#limit) return;
    throw new SystemError(Errno.EMFILE, call, `${this.#limit} handles are open`);
  }

  add(handle: OpenHandle): FileHandle {
    const id = ++this.#last as FileHandle;
    this.#handles.set(id, handle);
    return id;
  }

  /** @throws SystemError EBADF */
  file(node: NodeId, handle: FileHandle, call: string): OpenFile {
    const open = this.#get(node, handle, call);
    if (open.kind !== "file") throw new SystemError(Errno.EISDIR, call);
    return open;
  }

  /** @throws SystemError EBADF */
  directory(node: NodeId, handle: FileHandle, call: string): OpenDirectory {
    const open = this.#get(node, handle, call);
    if (open.kind !== "directory") throw new SystemError(Errno.EBADF, call);
    return open;
  }

  /** Some open file of an inode. Looks at all handles: for what is rare. */
  anyOf(target: HostNode): OpenFile | undefined {
    for (const open of this.#handles.values()) {
      if (open.kind === "file" && open.target === target) return open;
    }
    return undefined;
  }

  /** The node that was open; `undefined` for a handle that nobody knows. */
  release(handle: FileHandle): HostNode | undefined {
    const open = this.#handles.get(handle);
    if (open === undefined) return undefined;
    this.#handles.delete(handle);
    if (open.kind === "file") {
      open.released = "yes";
      if (open.running === 0) closeSync(open.descriptor);
    }
    return open.target;
  }

  /** Keeps the descriptor open while `call` runs in the thread pool. */
  async run<T>(open: OpenFile, call: (descriptor: number) => Promise<T>): Promise<T> {
    open.running++;
    try {
      return await call(open.descriptor);
    } finally {
      open.running--;
      if (open.running === 0 && open.released === "yes") closeSync(open.descriptor);
    }
  }

  releaseAll(): void {
    for (const handle of [...this.#handles.keys()]) this.release(handle);
  }

  #get(node: NodeId, handle: FileHandle, call: string): OpenHandle {
    const open = this.#handles.get(handle);
    if (open === undefined || open.target.node !== node) throw new SystemError(Errno.EBADF, call, `handle ${handle}`);
    return open;
  }
}
