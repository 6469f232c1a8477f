/** What is known of one inode's attributes: until when they may be believed, and whether they show a change. */
import type { FileStat, FileType } from "../file-calls.ts";
import { type Attr, copyOpaque, createAttr, opaqueToBigInt, sameOpaque } from "../wire/index.ts";
import { NEVER_VALID } from "./cache-policy.ts";

const TYPES: Readonly<Record<number, FileType>> = {
  1: "fifo",
  2: "character",
  4: "directory",
  6: "block",
  8: "file",
  10: "symlink",
  12: "socket",
};

/** The type in st_mode's upper four bits, or in a directory item's DT_*. */
export function fileType(typeNumber: number): FileType | undefined {
  return TYPES[typeNumber];
}

/** `undefined` when the device sent what no file of ours can have: an unknown type, or 2^53 bytes and more. */
function statOf(attr: Readonly<Attr>): FileStat | undefined {
  const type = fileType((attr.mode >> 12) & 0xf);
  if (type === undefined || attr.size < 0 || attr.blocks < 0) return undefined;
  return {
    type,
    size: attr.size,
    mode: attr.mode,
    links: attr.links,
    uid: attr.uid,
    gid: attr.gid,
    inode: opaqueToBigInt(attr.inode),
    blocks: attr.blocks,
    blockSize: attr.blockSize,
    atimeMs: attr.atimeSeconds * 1000 + attr.atimeNanoseconds / 1e6,
    mtimeMs: attr.mtimeSeconds * 1000 + attr.mtimeNanoseconds / 1e6,
    ctimeMs: attr.ctimeSeconds * 1000 + attr.ctimeNanoseconds / 1e6,
  };
}

/** What became of attributes that came in. */
export type AttributeNews = "stale" | "malformed" | "same" | "data-changed";

export class NodeAttributes {
  /** The last that the device said; `undefined` before it said anything. */
  stat: FileStat | undefined;
  /** On the driver's clock. */
  validUntil: number = NEVER_VALID;
  /** Bumped by each change that we make (and when it is done): replies to earlier questions are not believed. */
  changes = 0;
  /** When the question was sent whose answer this is; never, once the answer has expired. */
  askedAt: number = NEVER_VALID;
  /** The same, whatever became of the answer: answers to earlier questions come too late. */
  #lastAskedAt = NEVER_VALID;
  /** As the device sent it: in milliseconds as a double the last digits of the nanoseconds are lost. */
  readonly #raw: Attr = createAttr();

  /**
   * Takes in attributes.
   * @param askedAt when the question was sent: an answer to an earlier question than the last one is `stale`
   * @param changes what `changes` was then: if we changed the file meanwhile, the answer is `stale`, too
   */
  update(attr: Readonly<Attr>, askedAt: number, changes: number, validUntil: number): AttributeNews {
    if (askedAt < this.#lastAskedAt || changes !== this.changes) return "stale";
    const known = this.stat;
    if (known === undefined || !isSame(this.#raw, attr)) {
      const stat = statOf(attr);
      if (stat === undefined) return "malformed";
      this.stat = stat;
    }
    // Most answers show no change: nothing is allocated for them.
    const news = known === undefined || isSameData(this.#raw, attr) ? "same" : "data-changed";
    this.validUntil = validUntil;
    this.askedAt = askedAt;
    this.#lastAskedAt = askedAt;
    if (news !== "same" || this.stat !== known) copyAttr(attr, this.#raw);
    return news;
  }

  /** Asks again before the attributes are believed: a change of ours, or a sign of somebody else's. */
  expire(): void {
    this.validUntil = NEVER_VALID;
    this.askedAt = NEVER_VALID;
  }
}

/** What tells that a file's data may have changed. */
function isSameData(a: Readonly<Attr>, b: Readonly<Attr>): boolean {
  return (
    a.size === b.size &&
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanoseconds === b.mtimeNanoseconds &&
    a.ctimeSeconds === b.ctimeSeconds &&
    a.ctimeNanoseconds === b.ctimeNanoseconds
  );
}

function isSame(a: Readonly<Attr>, b: Readonly<Attr>): boolean {
  return (
    isSameData(a, b) &&
    a.atimeSeconds === b.atimeSeconds &&
    a.atimeNanoseconds === b.atimeNanoseconds &&
    sameOpaque(a.inode, b.inode) &&
    a.blocks === b.blocks &&
    a.mode === b.mode &&
    a.links === b.links &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.blockSize === b.blockSize
  );
}

function copyAttr(from: Readonly<Attr>, into: Attr): void {
  const { inode } = into;
  copyOpaque(from.inode, inode);
  Object.assign(into, from);
  into.inode = inode;
}
