/**
 * What a virtio-fs device serves. Implement this to put your own files behind FUSE; `MemoryFileSystem` here and
 * `HostDirectory` in @toril/host are two examples. The methods are contracts of the FUSE kernel protocol: where it
 * counts lookups, so must an implementation.
 *
 * A method returns its result, or a promise of it, or throws a SystemError whose errno goes to the guest; an error of
 * another kind with an errno's name as its `code` (Node's have that) counts as well; any other throw becomes EIO and is
 * logged. Methods that are absent answer ENOSYS (EROFS for those that would write).
 *
 * A node or handle that is not known answers ESTALE or EBADF: guests send what they like. Names and attributes that are
 * passed in are private copies and may be kept; `targets` and `sources` are guest memory.
 */
import type { MaybePromise } from "@toril/virtio";

declare const nodeIdBrand: unique symbol;
declare const fileHandleBrand: unique symbol;

/** Names an inode between `lookup` and the last `forget`. 1 is the root. At most 2^53 - 1. */
export type NodeId = number & { readonly [nodeIdBrand]: "NodeId" };
/** Names an open file or directory between open and release. At most 2^53 - 1. */
export type FileHandle = number & { readonly [fileHandleBrand]: "FileHandle" };

export const ROOT_NODE = 1 as NodeId;

/** One name in a directory: its bytes, without `/` and NUL, not empty, not `.` or `..` (the server has checked). */
export type FileName = Uint8Array;

/** struct fuse_attr, as far as a file system decides it. Times are nanoseconds since the epoch in two parts. */
export interface Attributes {
  readonly inode: number | bigint;
  readonly size: number;
  readonly blocks: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
  /** st_mode: type and permissions. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blockSize: number;
}

export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** The answer to whatever finds or makes a name: it counts as one lookup of `node`. */
export interface Entry {
  readonly node: NodeId;
  /** Differs when a node id is used again for another inode; 0 when ids are never used again. */
  readonly generation: number;
  readonly attributes: Attributes;
  /** Seconds for which the guest may believe the name, and the attributes. */
  readonly entryValid: number;
  readonly attributesValid: number;
}

/** Who asks, as the guest says (fuse_in_header). */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timestamp | "now";
  readonly mtime?: Timestamp | "now";
}

export interface OpenResult {
  readonly handle: FileHandle;
  /** FOPEN_KEEP_CACHE: what the guest has cached of this file is still good. */
  readonly keepCache?: boolean;
  /** FOPEN_DIRECT_IO: the guest must not cache. */
  readonly directIo?: boolean;
}

export interface DirectoryItem {
  readonly name: Uint8Array;
  readonly inode: number | bigint;
  /** DT_* (st_mode >> 12); 0 when unknown. */
  readonly type: number;
  /** Where to go on after this item: 1 to 2^53 - 1, stable while the directory is open. */
  readonly nextOffset: number;
  /** For READDIRPLUS: counts as a lookup once it is delivered. */
  readonly entry?: Entry;
}

export interface FileSystemStatistics {
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly blockSize: number;
  readonly nameLength: number;
  readonly fragmentSize: number;
}

export interface FileSystem {
  /**
   * The session is over (DESTROY, a new INIT, a reset device): drop every handle and every lookup count. Calls that
   * still run must touch neither their `targets` nor their `sources` from now on, because the memory is the driver's
   * again; their results are thrown away, so they must not count a lookup or an open any more.
   */
  reset(): MaybePromise<void>;

  lookup(parent: NodeId, name: FileName, caller: Caller): MaybePromise<Entry>;
  /** The guest drops `count` lookups of `node`; at 0 the id may be forgotten. Never fails. */
  forget(node: NodeId, count: number): void;
  getattr(node: NodeId, handle: FileHandle | undefined): MaybePromise<{ attributes: Attributes; valid: number }>;
  setattr?(
    node: NodeId,
    changes: AttributeChanges,
    handle: FileHandle | undefined,
    caller: Caller,
  ): MaybePromise<{ attributes: Attributes; valid: number }>;
  readlink?(node: NodeId): MaybePromise<Uint8Array>;

  /** @param flags Linux open flags (O_RDONLY … without O_CREAT, O_EXCL, O_NOCTTY). */
  open(node: NodeId, flags: number, caller: Caller): MaybePromise<OpenResult>;
  create?(
    parent: NodeId,
    name: FileName,
    mode: number,
    flags: number,
    caller: Caller,
  ): MaybePromise<Entry & OpenResult>;
  /**
   * Fills `targets` in order from `offset` on; returns how many bytes were there, fewer only at the end of the file.
   * The targets are guest memory: fill them in place. They may be used until the promise settles or `reset` is called.
   */
  read(node: NodeId, handle: FileHandle, offset: number, targets: readonly Uint8Array[]): MaybePromise<number>;
  /** Writes `sources` in order from `offset` on; returns how many bytes were taken. The same rule holds for sources. */
  write?(
    node: NodeId,
    handle: FileHandle,
    offset: number,
    sources: readonly Uint8Array[],
    caller: Caller,
  ): MaybePromise<number>;
  /** Each close of a descriptor; may report a delayed write error. */
  flush?(node: NodeId, handle: FileHandle): MaybePromise<void>;
  fsync?(node: NodeId, handle: FileHandle, dataOnly: boolean): MaybePromise<void>;
  /** Once for each open; never fails. */
  release(node: NodeId, handle: FileHandle): MaybePromise<void>;
  fallocate?(node: NodeId, handle: FileHandle, mode: number, offset: number, length: number): MaybePromise<void>;
  /** SEEK_DATA (3) and SEEK_HOLE (4). */
  lseek?(node: NodeId, handle: FileHandle, offset: number, whence: number): MaybePromise<number>;

  opendir(node: NodeId, caller: Caller): MaybePromise<OpenResult>;
  /**
   * Calls `emit` for each item after `offset` (0 is the start) until it returns false: then that item was not taken.
   * @param plus whether items should carry entries
   */
  readdir(
    node: NodeId,
    handle: FileHandle,
    offset: number,
    plus: boolean,
    emit: (item: DirectoryItem) => boolean,
  ): MaybePromise<void>;
  releasedir(node: NodeId, handle: FileHandle): MaybePromise<void>;
  fsyncdir?(node: NodeId, handle: FileHandle, dataOnly: boolean): MaybePromise<void>;

  mkdir?(parent: NodeId, name: FileName, mode: number, caller: Caller): MaybePromise<Entry>;
  mknod?(parent: NodeId, name: FileName, mode: number, rdev: number, caller: Caller): MaybePromise<Entry>;
  symlink?(parent: NodeId, name: FileName, target: Uint8Array, caller: Caller): MaybePromise<Entry>;
  link?(node: NodeId, newParent: NodeId, newName: FileName): MaybePromise<Entry>;
  unlink?(parent: NodeId, name: FileName): MaybePromise<void>;
  rmdir?(parent: NodeId, name: FileName): MaybePromise<void>;
  /** @param flags RENAME_NOREPLACE 1, RENAME_EXCHANGE 2 */
  rename?(parent: NodeId, name: FileName, newParent: NodeId, newName: FileName, flags: number): MaybePromise<void>;
  statfs(node: NodeId): MaybePromise<FileSystemStatistics>;
  /** @param mask R_OK 4, W_OK 2, X_OK 1 */
  access?(node: NodeId, mask: number, caller: Caller): MaybePromise<void>;
}
