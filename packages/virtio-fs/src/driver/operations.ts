/**
 * One method per FUSE request: what goes out, how long a good reply is, what it says. No cache, no path, no policy.
 * A result is what the reply says, or a negative errno.
 */
import { Errno } from "@toril/virtio/platform";
import * as wire from "../wire/index.ts";
import { type Opaque64, Opcode } from "../wire/index.ts";
import type { ByteString } from "./byte-string.ts";
import type { Cancellation } from "./cancellation.ts";
import { type AttrReply, type EntryReply, noStatfs, type OpenReply, type Segment } from "./replies.ts";
import { REPLY_AT, RequestSlot } from "./request-slot.ts";
import type { RequestEngine } from "./requests.ts";

type Cancel = Cancellation | undefined;
type Id = Readonly<Opaque64>;
type OpenOpcode = typeof Opcode.Open | typeof Opcode.Opendir;
type ReleaseOpcode = typeof Opcode.Release | typeof Opcode.Releasedir;
type RemoveOpcode = typeof Opcode.Unlink | typeof Opcode.Rmdir;
type ReaddirOpcode = typeof Opcode.Readdir | typeof Opcode.Readdirplus;

const NO_NODE: Id = { low: 0, high: 0 };
const TWO_32 = 0x1_0000_0000;

export class Operations {
  readonly #engine: RequestEngine;
  /** Filled and encoded in one go. */
  readonly #read = wire.createReadIn();
  readonly #write = wire.createWriteIn();

  constructor(engine: RequestEngine) {
    this.#engine = engine;
  }

  /** INIT. A server that speaks less than 7.23 answers with a shorter reply. */
  async init(init: Readonly<wire.InitIn>, cancel: Cancel): Promise<wire.InitOut | number> {
    const slot = await this.#begin(Opcode.Init, NO_NODE, cancel);
    if (typeof slot === "number") return slot;
    wire.writeInitIn(slot.bytes, slot.addArguments(wire.INIT_IN_SIZE), init);
    const result = await this.#engine.send(slot, wire.INIT_OUT_SIZE_OLD, wire.INIT_OUT_SIZE, cancel);
    const out = wire.createInitOut();
    if (result >= 0) wire.readInitOut(slot.bytes, REPLY_AT, result, out);
    this.#engine.release(slot);
    return result < 0 ? result : out;
  }

  async destroy(cancel: Cancel): Promise<number> {
    const slot = await this.#begin(Opcode.Destroy, NO_NODE, cancel);
    return typeof slot === "number" ? slot : this.#plain(slot, cancel);
  }

  async lookup(parent: Id, name: ByteString, cancel: Cancel): Promise<EntryReply | number> {
    const slot = await this.#begin(Opcode.Lookup, parent, cancel);
    if (typeof slot === "number") return slot;
    slot.addName(name);
    return this.#entry(slot, cancel);
  }

  async getattr(node: Id, handle: Id | undefined, cancel: Cancel): Promise<AttrReply | number> {
    const slot = this.#tryBegin(Opcode.Getattr, node) ?? (await this.#begin(Opcode.Getattr, node, cancel));
    if (typeof slot === "number") return slot;
    const flags = handle === undefined ? 0 : wire.GETATTR_FH;
    wire.writeGetattrIn(slot.bytes, slot.addArguments(wire.GETATTR_IN_SIZE), { flags, handle: handle ?? NO_NODE });
    return this.#attributed(slot, await this.#engine.send(slot, wire.ATTR_OUT_SIZE, wire.ATTR_OUT_SIZE, cancel));
  }

  async setattr(node: Id, changes: Readonly<wire.SetattrIn>, cancel: Cancel): Promise<AttrReply | number> {
    const slot = await this.#begin(Opcode.Setattr, node, cancel);
    if (typeof slot === "number") return slot;
    wire.writeSetattrIn(slot.bytes, slot.addArguments(wire.SETATTR_IN_SIZE), changes);
    return this.#attributed(slot, await this.#engine.send(slot, wire.ATTR_OUT_SIZE, wire.ATTR_OUT_SIZE, cancel));
  }

  /** The target goes to guest memory; its length. */
  async readlink(node: Id, into: Segment, cancel: Cancel): Promise<number> {
    const slot = await this.#begin(Opcode.Readlink, node, cancel);
    if (typeof slot === "number") return slot;
    slot.addData("writable", into.address, into.length);
    return this.#done(slot, await this.#engine.send(slot, 0, into.length, cancel));
  }

  async open(opcode: OpenOpcode, node: Id, flags: number, cancel: Cancel): Promise<OpenReply | number> {
    const slot = await this.#begin(opcode, node, cancel);
    if (typeof slot === "number") return slot;
    wire.writeOpenIn(slot.bytes, slot.addArguments(wire.OPEN_IN_SIZE), { flags });
    const result = await this.#engine.send(slot, wire.OPEN_OUT_SIZE, wire.OPEN_OUT_SIZE, cancel);
    const opened = wire.createOpenOut();
    if (result >= 0) wire.readOpenOut(slot.bytes, REPLY_AT, opened);
    this.#engine.release(slot);
    return result < 0 ? result : opened;
  }

  async create(
    parent: Id,
    name: ByteString,
    flags: number,
    mode: number,
    cancel: Cancel,
  ): Promise<(EntryReply & { readonly opened: OpenReply }) | number> {
    const slot = await this.#begin(Opcode.Create, parent, cancel);
    if (typeof slot === "number") return slot;
    wire.writeCreateIn(slot.bytes, slot.addArguments(wire.CREATE_IN_SIZE), { flags, mode, umask: 0 });
    slot.addName(name);
    const size = wire.ENTRY_OUT_SIZE + wire.OPEN_OUT_SIZE;
    const result = await this.#engine.send(slot, size, size, cancel);
    const entry = wire.createEntryOut();
    const opened = wire.createOpenOut();
    if (result >= 0) {
      wire.readEntryOut(slot.bytes, REPLY_AT, entry);
      wire.readOpenOut(slot.bytes, REPLY_AT + wire.ENTRY_OUT_SIZE, opened);
    }
    const { sentAt } = slot;
    this.#engine.release(slot);
    return result < 0 ? result : { entry, opened, sentAt };
  }

  /** Whatever the answer, the handle is gone; so nobody can cancel it. */
  async releaseHandle(opcode: ReleaseOpcode, node: Id, handle: Id, flags: number): Promise<number> {
    const slot = await this.#begin(opcode, node, undefined);
    if (typeof slot === "number") return slot;
    wire.writeReleaseIn(slot.bytes, slot.addArguments(wire.RELEASE_IN_SIZE), { handle, flags, releaseFlags: 0 });
    return this.#plain(slot, undefined);
  }

  async flush(node: Id, handle: Id, cancel: Cancel): Promise<number> {
    const slot = await this.#begin(Opcode.Flush, node, cancel);
    if (typeof slot === "number") return slot;
    wire.writeFlushIn(slot.bytes, slot.addArguments(wire.FLUSH_IN_SIZE), handle);
    return this.#plain(slot, cancel);
  }

  async fsync(node: Id, handle: Id, what: "data" | "all", cancel: Cancel): Promise<number> {
    const slot = await this.#begin(Opcode.Fsync, node, cancel);
    if (typeof slot === "number") return slot;
    const flags = what === "data" ? wire.FSYNC_DATA_ONLY : 0;
    wire.writeFsyncIn(slot.bytes, slot.addArguments(wire.FSYNC_IN_SIZE), handle, flags);
    return this.#plain(slot, cancel);
  }

  /** Into guest memory, which must be lent to write; how many bytes came, fewer only at the end of the file. */
  async read(
    node: Id,
    handle: Id,
    flags: number,
    offset: number,
    into: readonly Segment[],
    cancel: Cancel,
  ): Promise<number> {
    const slot = this.#tryBegin(Opcode.Read, node) ?? (await this.#begin(Opcode.Read, node, cancel));
    if (typeof slot === "number") return slot;
    for (const segment of into) slot.addData("writable", segment.address, segment.length);
    const position = { low: offset >>> 0, high: Math.floor(offset / TWO_32) };
    return this.#done(slot, await this.#sendRead(slot, handle, flags, position, cancel));
  }

  /** Into guest memory, from a cookie on. */
  async readdir(
    opcode: ReaddirOpcode,
    node: Id,
    handle: Id,
    cookie: Id,
    into: Segment,
    cancel: Cancel,
  ): Promise<{ readonly length: number; readonly sentAt: number } | number> {
    const slot = await this.#begin(opcode, node, cancel);
    if (typeof slot === "number") return slot;
    slot.addData("writable", into.address, into.length);
    const length = await this.#sendRead(slot, handle, 0, cookie, cancel);
    const { sentAt } = slot;
    this.#engine.release(slot);
    return length < 0 ? length : { length, sentAt };
  }

  /** From guest memory, which must be lent to read; how many bytes were taken. */
  async write(
    node: Id,
    handle: Id,
    flags: number,
    offset: number,
    from: readonly Segment[],
    cancel: Cancel,
  ): Promise<number> {
    const slot = await this.#begin(Opcode.Write, node, cancel);
    if (typeof slot === "number") return slot;
    for (const segment of from) slot.addData("readable", segment.address, segment.length);
    const asked = slot.dataBytes;
    const write = this.#write;
    wire.copyOpaque(handle, write.handle);
    write.offset = offset;
    write.size = asked;
    write.flags = flags;
    wire.writeWriteIn(slot.bytes, slot.addArguments(wire.WRITE_IN_SIZE), write);
    const result = await this.#engine.send(slot, wire.WRITE_OUT_SIZE, wire.WRITE_OUT_SIZE, cancel);
    const written = result < 0 ? result : wire.readWriteOut(slot.bytes, REPLY_AT);
    this.#engine.release(slot);
    if (written <= asked) return written;
    await this.#engine.fail(Errno.EIO, `WRITE: the device says it wrote ${written} of ${asked} bytes`);
    return -Errno.EIO;
  }

  async remove(opcode: RemoveOpcode, parent: Id, name: ByteString, cancel: Cancel): Promise<number> {
    const slot = await this.#begin(opcode, parent, cancel);
    if (typeof slot === "number") return slot;
    slot.addName(name);
    return this.#plain(slot, cancel);
  }

  async mkdir(parent: Id, name: ByteString, mode: number, cancel: Cancel): Promise<EntryReply | number> {
    const slot = await this.#begin(Opcode.Mkdir, parent, cancel);
    if (typeof slot === "number") return slot;
    wire.writeMkdirIn(slot.bytes, slot.addArguments(wire.MKDIR_IN_SIZE), { mode, umask: 0 });
    slot.addName(name);
    return this.#entry(slot, cancel);
  }

  /** The target and its NUL lie in guest memory: they can be longer than a slot. */
  async symlink(parent: Id, name: ByteString, target: Segment, cancel: Cancel): Promise<EntryReply | number> {
    const slot = await this.#begin(Opcode.Symlink, parent, cancel);
    if (typeof slot === "number") return slot;
    slot.addName(name);
    slot.addData("readable", target.address, target.length);
    return this.#entry(slot, cancel);
  }

  async link(node: Id, parent: Id, name: ByteString, cancel: Cancel): Promise<EntryReply | number> {
    const slot = await this.#begin(Opcode.Link, parent, cancel);
    if (typeof slot === "number") return slot;
    wire.writeLinkIn(slot.bytes, slot.addArguments(wire.LINK_IN_SIZE), node);
    slot.addName(name);
    return this.#entry(slot, cancel);
  }

  /** RENAME, or RENAME2 when there are flags. */
  async rename(
    parent: Id,
    name: ByteString,
    newParent: Id,
    newName: ByteString,
    flags: number,
    cancel: Cancel,
  ): Promise<number> {
    const slot = await this.#begin(flags === 0 ? Opcode.Rename : Opcode.Rename2, parent, cancel);
    if (typeof slot === "number") return slot;
    if (flags === 0) {
      wire.writeRenameIn(slot.bytes, slot.addArguments(wire.RENAME_IN_SIZE), newParent);
    } else {
      const newDirectory = { low: newParent.low, high: newParent.high };
      wire.writeRename2In(slot.bytes, slot.addArguments(wire.RENAME2_IN_SIZE), { newDirectory, flags });
    }
    slot.addName(name);
    slot.addName(newName);
    return this.#plain(slot, cancel);
  }

  async statfs(node: Id, cancel: Cancel): Promise<wire.StatfsOut | number> {
    const slot = await this.#begin(Opcode.Statfs, node, cancel);
    if (typeof slot === "number") return slot;
    const result = await this.#engine.send(slot, wire.STATFS_OUT_SIZE, wire.STATFS_OUT_SIZE, cancel);
    const out = noStatfs();
    if (result >= 0) wire.readStatfsOut(slot.bytes, REPLY_AT, out);
    this.#engine.release(slot);
    return result < 0 ? result : out;
  }

  async #begin(opcode: Opcode, node: Id, cancel: Cancel): Promise<RequestSlot | number> {
    const slot = this.#engine.tryAcquire() ?? (await this.#engine.acquire(cancel));
    if (typeof slot !== "number") slot.begin(opcode, node);
    return slot;
  }

  /** Without a promise: what is asked most often begins with it. `undefined`: no slot is free. */
  #tryBegin(opcode: Opcode, node: Id): RequestSlot | number | undefined {
    const slot = this.#engine.tryAcquire();
    if (slot instanceof RequestSlot) slot.begin(opcode, node);
    return slot;
  }

  async #plain(slot: RequestSlot, cancel: Cancel): Promise<number> {
    return this.#done(slot, await this.#engine.send(slot, 0, 0, cancel));
  }

  async #entry(slot: RequestSlot, cancel: Cancel): Promise<EntryReply | number> {
    const result = await this.#engine.send(slot, wire.ENTRY_OUT_SIZE, wire.ENTRY_OUT_SIZE, cancel);
    const entry = wire.createEntryOut();
    if (result >= 0) wire.readEntryOut(slot.bytes, REPLY_AT, entry);
    const { sentAt } = slot;
    this.#engine.release(slot);
    return result < 0 ? result : { entry, sentAt };
  }

  #attributed(slot: RequestSlot, result: number): AttrReply | number {
    if (result < 0) return this.#done(slot, result);
    const attr = wire.createAttr();
    const validity = { seconds: 0, nanoseconds: 0 };
    wire.readAttrOut(slot.bytes, REPLY_AT, validity, attr);
    const { sentAt } = slot;
    this.#engine.release(slot);
    return { attr, validity, sentAt };
  }

  #sendRead(slot: RequestSlot, handle: Id, flags: number, offset: Id, cancel: Cancel): Promise<number> {
    const read = this.#read;
    wire.copyOpaque(handle, read.handle);
    wire.copyOpaque(offset, read.offset);
    read.size = slot.dataBytes;
    read.flags = flags;
    wire.writeReadIn(slot.bytes, slot.addArguments(wire.READ_IN_SIZE), read);
    return this.#engine.send(slot, 0, slot.dataBytes, cancel);
  }

  #done(slot: RequestSlot, result: number): number {
    this.#engine.release(slot);
    return result;
  }
}
