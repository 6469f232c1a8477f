/** An inode in memory, and the names in a directory. */
import type { Attributes, NodeId, Timestamp } from "../file-system.ts";
import type { FileData } from "./file-data.ts";

/** st_mode's type bits. */
export const FileMode = {
  TypeMask: 0o170000,
  Socket: 0o140000,
  Symlink: 0o120000,
  Regular: 0o100000,
  Block: 0o060000,
  Directory: 0o040000,
  Character: 0o020000,
  Fifo: 0o010000,
  SetGid: 0o2000,
  PermissionMask: 0o7777,
} as const;

export type InodeContent =
  | { readonly kind: "file"; readonly data: FileData }
  | { readonly kind: "directory"; readonly names: Map<string, MemoryInode>; parent: MemoryInode | undefined }
  | { readonly kind: "symlink"; readonly target: Uint8Array }
  /** A device, FIFO or socket: the guest's kernel serves it. */
  | { readonly kind: "special" };

export type DirectoryInode = MemoryInode & { readonly content: Extract<InodeContent, { kind: "directory" }> };
export type FileInode = MemoryInode & { readonly content: Extract<InodeContent, { kind: "file" }> };

export interface MemoryInode {
  readonly node: NodeId;
  readonly content: InodeContent;
  mode: number;
  /** Names that lead here; a directory also has its own "." and its children's "..". 0: gone once nobody uses it. */
  links: number;
  uid: number;
  gid: number;
  readonly rdev: number;
  atime: Timestamp;
  mtime: Timestamp;
  ctime: Timestamp;
  /** Lookups that the guest has not forgotten, and handles that are open. */
  lookups: number;
  opens: number;
}

export function isDirectory(inode: MemoryInode): inode is DirectoryInode {
  return inode.content.kind === "directory";
}

export function isFile(inode: MemoryInode): inode is FileInode {
  return inode.content.kind === "file";
}

/** st_blksize: what a program should read at a time. */
const BLOCK_SIZE = 4096;
/** st_blocks counts in these. */
const SECTOR = 512;

export function attributesOf(inode: MemoryInode): Attributes {
  const { content } = inode;
  let size = 0;
  let allocated = 0;
  if (content.kind === "file") {
    size = content.data.size;
    allocated = content.data.allocated;
  } else if (content.kind === "symlink") {
    size = content.target.length;
  } else if (content.kind === "directory") {
    size = BLOCK_SIZE;
    allocated = BLOCK_SIZE;
  }
  return {
    inode: inode.node,
    size,
    blocks: allocated / SECTOR,
    atime: inode.atime,
    mtime: inode.mtime,
    ctime: inode.ctime,
    mode: inode.mode,
    links: inode.links,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    blockSize: BLOCK_SIZE,
  };
}

/** Names are bytes; as map keys they are strings with one character for each. */
export function nameKey(name: Uint8Array): string {
  return String.fromCharCode(...name);
}

export function nameBytes(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0));
}
