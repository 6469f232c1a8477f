/**
 * What READDIR (struct fuse_dirent) and READDIRPLUS (struct fuse_direntplus) answer: items one behind the other, each
 * padded to 8 bytes.
 */
import { createEntryOut, ENTRY_OUT_SIZE, type EntryOut, readEntryOut, writeEntryOut } from "./entry.ts";
import { getOpaque, getU32, type Opaque64, opaque, putOpaque, putU32 } from "./integers.ts";
import { NAME_MAX } from "./names.ts";

/** Bytes before the name. */
const DIRENT_HEADER_SIZE = 24;
/** Bytes before the name in an item of READDIRPLUS. */
const DIRENTPLUS_HEADER_SIZE = ENTRY_OUT_SIZE + DIRENT_HEADER_SIZE;

/** FUSE_DIRENT_SIZE: bytes of an item of READDIR, padding included. */
export const direntSize = (nameLength: number): number => align8(DIRENT_HEADER_SIZE + nameLength);
/** FUSE_DIRENTPLUS_SIZE. */
export const direntplusSize = (nameLength: number): number => align8(DIRENTPLUS_HEADER_SIZE + nameLength);
/** The largest item there can be. */
export const MAX_DIRENTPLUS_SIZE: number = direntplusSize(NAME_MAX);

export interface Dirent {
  inode: Opaque64;
  /** The cookie to go on from behind this item. */
  offset: Opaque64;
  /** DT_*: st_mode >> 12; 0 when unknown. */
  type: number;
}

/** Writes an item and its padding; returns its size. There must be room for it. */
export function writeDirent(bytes: Uint8Array, at: number, dirent: Readonly<Dirent>, name: Uint8Array): number {
  const size = direntSize(name.length);
  putOpaque(bytes, at, dirent.inode);
  putOpaque(bytes, at + 8, dirent.offset);
  putU32(bytes, at + 16, name.length);
  putU32(bytes, at + 20, dirent.type);
  bytes.set(name, at + DIRENT_HEADER_SIZE);
  bytes.fill(0, at + DIRENT_HEADER_SIZE + name.length, at + size);
  return size;
}

export function writeDirentplus(
  bytes: Uint8Array,
  at: number,
  entry: Readonly<EntryOut>,
  dirent: Readonly<Dirent>,
  name: Uint8Array,
): number {
  writeEntryOut(bytes, at, entry);
  return ENTRY_OUT_SIZE + writeDirent(bytes, at + ENTRY_OUT_SIZE, dirent, name);
}

/**
 * Walks the items of a reply. `next` returns false at the end, and where an item is malformed: then `malformed` says
 * what was wrong, and nothing after it can be trusted. The reply should be private memory: an item is looked at twice.
 */
export class DirentReader {
  readonly inode: Opaque64 = opaque();
  /** The cookie to go on from behind this item. */
  readonly offset: Opaque64 = opaque();
  type = 0;
  /** Where the name lies in the bytes given to `start`. */
  nameStart = 0;
  nameEnd = 0;
  /** READDIRPLUS only. Its node is 0 when no lookup was counted. */
  readonly entry: EntryOut = createEntryOut();
  malformed: string | undefined;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #entrySize = 0;

  start(bytes: Uint8Array, from: number, end: number, kind: "dirent" | "direntplus"): void {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
    this.#entrySize = kind === "direntplus" ? ENTRY_OUT_SIZE : 0;
    this.malformed = undefined;
  }

  next(): boolean {
    const at = this.#at + this.#entrySize;
    const name = at + DIRENT_HEADER_SIZE;
    if (this.malformed !== undefined || this.#at === this.#end) return false;
    if (name > this.#end) return this.#fail(`an item is cut off: ${this.#end - this.#at} bytes are left`);
    const length = getU32(this.#bytes, at + 16);
    if (length === 0 || length > NAME_MAX) return this.#fail(`a name of ${length} bytes: 1 to ${NAME_MAX} are allowed`);
    if (name + length > this.#end) return this.#fail(`a name of ${length} bytes is cut off`);
    if (this.#entrySize !== 0) readEntryOut(this.#bytes, this.#at, this.entry);
    getOpaque(this.#bytes, at, this.inode);
    getOpaque(this.#bytes, at + 8, this.offset);
    this.type = getU32(this.#bytes, at + 20);
    this.nameStart = name;
    this.nameEnd = name + length;
    // The last item's padding may be missing: nothing is read from it.
    this.#at = Math.min(this.#at + align8(this.#entrySize + DIRENT_HEADER_SIZE + length), this.#end);
    return true;
  }

  #fail(what: string): false {
    this.malformed = what;
    return false;
  }
}

function align8(size: number): number {
  return (size + 7) & ~7;
}
