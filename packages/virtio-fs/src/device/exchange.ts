/**
 * One request on its way through the server: the private copy of its head and arguments, and the means to answer it.
 * Exchanges are reused; one is held for as long as its request is being served.
 */
import { Errno } from "@toril/virtio/platform";
import {
  createInHeader,
  findNameEnd,
  IN_HEADER_SIZE,
  type InHeader,
  MAX_DIRENTPLUS_SIZE,
  NAME_MAX,
  OUT_HEADER_SIZE,
  opaqueToNumber,
  putOpaque,
  putU32,
  readInHeader,
  SYMLINK_MAX,
} from "../wire/index.ts";
import type { FuseMessage } from "./fuse-message.ts";

/** What serving a request returns when the answer comes later. */
export const PENDING = -1;

/** Private bytes per request: the header, the largest struct (88 bytes), a name, and the target of a symbolic link. */
const COPY_SIZE: number = IN_HEADER_SIZE + 88 + NAME_MAX + 1 + SYMLINK_MAX + 1;
/** Copied first: enough for the requests that move data, and for most others. */
const FIRST_COPY = 80;

const SLASH = 0x2f;
const DOT = 0x2e;

export type ExchangeState =
  | "serving"
  /** Answered early (INTERRUPT): what comes of it is undone. */
  | "interrupted"
  /** Its session is over: nothing of its message may be touched, nothing undone. */
  | "ended";

export class Exchange {
  readonly header: InHeader = createInHeader();
  /** The copy: header at 0, arguments at IN_HEADER_SIZE. */
  readonly bytes: Uint8Array = new Uint8Array(COPY_SIZE);
  /** Where a reply is put together: header at 0, its payload at OUT_HEADER_SIZE. */
  readonly reply: Uint8Array = new Uint8Array(OUT_HEADER_SIZE + MAX_DIRENTPLUS_SIZE);
  state: ExchangeState = "serving";
  opcode = 0;
  /** The header's node, as far as it can be one of ours; -1 otherwise. */
  node = 0;
  /** The errno it was answered with, negative; 0 until then, and for a good answer. */
  error = 0;
  /** For READDIR: bytes of the reply's payload that are filled, and how many there may be. */
  filled = 0;
  capacity = 0;
  whenDone: (written: number) => void = ignore;
  readonly #firstCopy: Uint8Array = this.bytes.subarray(0, FIRST_COPY);
  readonly #restCopy: Uint8Array = this.bytes.subarray(FIRST_COPY);
  /** Views of the start of `reply`, by length: replies of a kind have the same length. */
  readonly #prefixes: (Uint8Array | undefined)[] = [];
  #message: FuseMessage | undefined;
  /** End of the arguments in the request: its length without the extensions. */
  #end = 0;
  #nextName = 0;
  #nameErrno = 0;

  get message(): FuseMessage {
    const message = this.#message;
    if (message === undefined) throw new Error("an exchange that is not being served has no message");
    return message;
  }

  /** Takes a request in. What is wrong with it, or `undefined`. */
  begin(message: FuseMessage, whenDone: (written: number) => void): string | undefined {
    this.#message = message;
    this.whenDone = whenDone;
    this.state = "serving";
    this.error = 0;
    this.filled = 0;
    this.capacity = 0;
    const { header } = this;
    // Read once: the guest may change its memory meanwhile.
    const first = message.read(0, this.#firstCopy);
    if (first < IN_HEADER_SIZE) return `a request of ${first} bytes: its header has ${IN_HEADER_SIZE}`;
    readInHeader(this.bytes, 0, header);
    this.opcode = header.opcode;
    this.node = opaqueToNumber(header.node);
    this.#end = header.length - header.extensionUnits * 8;
    if (header.length > message.readableBytes) {
      return `a request that says it has ${header.length} bytes, of ${message.readableBytes}`;
    }
    if (this.#end < IN_HEADER_SIZE)
      return `a request of ${header.length} bytes, ${header.extensionUnits * 8} of them extensions`;
    return undefined;
  }

  /** Lets go of the message. */
  finish(): void {
    this.#message = undefined;
    this.whenDone = ignore;
  }

  /** Bytes of arguments, names and data behind the header. */
  get argumentBytes(): number {
    return this.#end - IN_HEADER_SIZE;
  }

  /** Whether there is room for an answer at all. */
  get canReply(): boolean {
    return this.message.writableBytes >= OUT_HEADER_SIZE;
  }

  /** Room behind the reply's header, in bytes. */
  get payloadRoom(): number {
    return this.message.writableBytes - OUT_HEADER_SIZE;
  }

  /** Copies the rest of a request whose arguments go on behind the first bytes (not for WRITE: its data stays). */
  copyRest(): void {
    if (this.#end > FIRST_COPY) this.message.read(FIRST_COPY, this.#restCopy);
  }

  /** Names start `size` bytes behind the header. */
  startNames(size: number): void {
    this.#nextName = IN_HEADER_SIZE + size;
    this.#nameErrno = 0;
  }

  /** What was wrong with a name that `takeName` or `takeTarget` did not return. */
  get nameErrno(): number {
    return this.#nameErrno;
  }

  /**
   * The next name, as a private copy; `undefined` when it is none that a directory can hold: empty, too long, without
   * its NUL, with a `/`, or `.` or `..` (EXPORT_SUPPORT, which would allow those, is never negotiated).
   */
  takeName(): Uint8Array | undefined {
    const name = this.#takeString(NAME_MAX);
    if (name === undefined) return undefined;
    const dots = name.length <= 2 && name[0] === DOT && (name.length === 1 || name[1] === DOT);
    if (dots || name.includes(SLASH)) {
      this.#nameErrno = Errno.EINVAL;
      return undefined;
    }
    return name;
  }

  /** The target of a symbolic link: anything but empty. */
  takeTarget(): Uint8Array | undefined {
    return this.#takeString(SYMLINK_MAX);
  }

  #takeString(limit: number): Uint8Array | undefined {
    const from = this.#nextName;
    const held = Math.min(this.#end, COPY_SIZE);
    const end = findNameEnd(this.bytes, from, held);
    if (end === -1) this.#nameErrno = held - from > limit ? Errno.ENAMETOOLONG : Errno.EINVAL;
    else if (end - from > limit) this.#nameErrno = Errno.ENAMETOOLONG;
    else if (end === from) this.#nameErrno = Errno.EINVAL;
    if (this.#nameErrno !== 0) return undefined;
    this.#nextName = end + 1;
    return this.bytes.slice(from, end);
  }

  /** Answers with `length` bytes of payload that stand in `reply`; returns the bytes written. */
  succeed(length: number): number {
    return this.#answer(0, OUT_HEADER_SIZE + length, OUT_HEADER_SIZE + length);
  }

  /** Answers with `length` bytes of payload that are in the message already; returns the bytes written. */
  succeedInPlace(length: number): number {
    return this.#answer(0, OUT_HEADER_SIZE + length, OUT_HEADER_SIZE);
  }

  /** Answers with an error; returns the bytes written, 0 where there is no room to say it. */
  fail(errno: number): number {
    return this.canReply ? this.#answer(-errno, OUT_HEADER_SIZE, OUT_HEADER_SIZE) : 0;
  }

  #answer(error: number, total: number, copied: number): number {
    const { reply } = this;
    this.error = error;
    putU32(reply, 0, total);
    putU32(reply, 4, error);
    putOpaque(reply, 8, this.header.unique);
    let prefix = this.#prefixes[copied];
    if (prefix === undefined) {
      prefix = reply.subarray(0, copied);
      this.#prefixes[copied] = prefix;
    }
    this.message.write(0, prefix);
    return total;
  }
}

function ignore(): void {}
