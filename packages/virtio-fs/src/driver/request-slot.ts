/**
 * The place of one request in guest memory: its header, arguments and names, and where its reply goes. Slots are made
 * once and used again and again, so a request allocates no guest memory, and its buffers are never freed under a device.
 *
 * virtio 1.3 §5.11.6.1: a chain is the readable part of a request (fuse_in_header, arguments, data), then the writable
 * one (fuse_out_header, arguments, data). Data lies elsewhere, in segments.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import { addressAt } from "@toril/memory";
import { getU32, IN_HEADER_SIZE, type Opaque64, Opcode, OUT_HEADER_SIZE, putU32 } from "../wire/index.ts";
import { type ByteString, putBytes } from "./byte-string.ts";
import { NAME_LIMIT } from "./paths.ts";

/** The largest request without its data: RENAME2 with two names. 2,106 bytes, and room for larger arguments. */
const IN_SIZE = 2304;
/** The largest reply without its data: CREATE's, 16 + 128 + 16. */
const OUT_SIZE = 256;
export const SLOT_SIZE: number = IN_SIZE + OUT_SIZE;
/** Where the reply's arguments start in `bytes`. */
export const REPLY_AT: number = IN_SIZE + OUT_HEADER_SIZE;
/** The most that a reply's arguments take in a slot. */
const MAX_REPLY: number = OUT_SIZE - OUT_HEADER_SIZE;

/** Segments of data in one chain; with header and reply a chain has two more. */
export const MAX_DATA_SEGMENTS = 30;

/** A request names itself with this on the wire; never used again in a session, never an address. */
const FIRST_UNIQUE = 2;
/** Requests take even numbers: an INTERRUPT's own id is that of its request with bit 0 set, as in Linux. */
const UNIQUE_STEP = 2;

export class UniqueSource {
  #next = FIRST_UNIQUE;

  /** 2^52 requests last for 140 years at a million a second. */
  take(): number {
    const unique = this.#next;
    this.#next += UNIQUE_STEP;
    return unique;
  }
}

export class RequestSlot {
  /** The whole slot: the request at 0, the reply's arguments at REPLY_AT. */
  readonly bytes: Uint8Array;
  readonly inAddress: GuestAddress;
  readonly outAddress: GuestAddress;
  /** Where the data lies; filled up to `dataCount`. */
  readonly dataAddress: Float64Array = new Float64Array(MAX_DATA_SEGMENTS);
  readonly dataLength: Uint32Array = new Uint32Array(MAX_DATA_SEGMENTS);
  dataCount = 0;
  /** Which side writes the data. */
  dataDirection: "readable" | "writable" = "readable";
  dataBytes = 0;
  opcode = 0;
  /** The request's length without data. */
  inLength = 0;
  unique = 0;
  /** What a good reply's payload may measure: arguments in the slot, or data. */
  minReply = 0;
  maxReply = 0;
  /** When it was sent, on the driver's clock. */
  sentAt = 0;

  constructor(memory: GuestMemory, address: GuestAddress) {
    this.bytes = memory.bytes(address, SLOT_SIZE);
    this.inAddress = address;
    this.outAddress = addressAt(address, IN_SIZE);
  }

  /** Starts a request: the header but for its length and unique. We are nobody else's agent: uid, gid and pid are 0. */
  begin(opcode: Opcode, node: Readonly<Opaque64>): void {
    this.opcode = opcode;
    this.dataCount = 0;
    this.dataBytes = 0;
    this.bytes.fill(0, 0, IN_HEADER_SIZE);
    putU32(this.bytes, 4, opcode);
    putU32(this.bytes, 16, node.low);
    putU32(this.bytes, 20, node.high);
    this.inLength = IN_HEADER_SIZE;
  }

  /** Room for arguments; returns where they go in `bytes`. */
  addArguments(size: number): number {
    const at = this.inLength;
    this.inLength += size;
    return at;
  }

  /** A name and its NUL. @throws RangeError above NAME_LIMIT, which parsePath refuses */
  addName(name: ByteString): void {
    if (name.length > NAME_LIMIT) throw new RangeError(`a name of ${name.length} bytes: at most ${NAME_LIMIT} fit`);
    const end = putBytes(name, this.bytes, this.inLength);
    this.bytes[end] = 0;
    this.inLength = end + 1;
  }

  /** A segment of data. @throws RangeError when there are MAX_DATA_SEGMENTS already */
  addData(direction: "readable" | "writable", address: number, length: number): void {
    if (this.dataCount === MAX_DATA_SEGMENTS) throw new RangeError(`more than ${MAX_DATA_SEGMENTS} data segments`);
    this.dataDirection = direction;
    this.dataAddress[this.dataCount] = address;
    this.dataLength[this.dataCount] = length;
    this.dataCount++;
    this.dataBytes += length;
  }

  /** Descriptors of the chain. */
  get segments(): number {
    return 2 + this.dataCount;
  }

  /**
   * Writes what is known only when the request is sent: fuse_in_header's len and unique.
   * @throws RangeError when the reply would not fit
   */
  seal(unique: number): void {
    if (this.outLength > OUT_HEADER_SIZE + MAX_REPLY) {
      throw new RangeError(`a reply of ${this.maxReply} bytes does not fit into a slot: ${MAX_REPLY} do`);
    }
    this.unique = unique;
    const readableData = this.dataDirection === "readable" ? this.dataBytes : 0;
    putU32(this.bytes, 0, this.inLength + readableData);
    putU32(this.bytes, 8, unique);
    putU32(this.bytes, 12, Math.floor(unique / 0x1_0000_0000));
  }

  /** Bytes of the reply that lie in the slot: its header and arguments. */
  get outLength(): number {
    return OUT_HEADER_SIZE + (this.dataCount > 0 && this.dataDirection === "writable" ? 0 : this.maxReply);
  }

  /**
   * Reads the reply's header, once, and judges it.
   * @param usedLength bytes the device says it wrote
   * @returns the payload's length, a negative errno, or what the device did wrong
   */
  judge(usedLength: number): number | string {
    const at = IN_SIZE;
    // The Rust virtiofsd takes DESTROY and writes no reply. There is nothing in one: the session is over either way.
    if (usedLength === 0 && this.opcode === Opcode.Destroy) return 0;
    if (usedLength < OUT_HEADER_SIZE) return `a reply of ${usedLength} bytes: a header alone has ${OUT_HEADER_SIZE}`;
    const length = getU32(this.bytes, at);
    const error = getU32(this.bytes, at + 4) | 0;
    const unique = getU32(this.bytes, at + 12) * 0x1_0000_0000 + getU32(this.bytes, at + 8);
    if (unique !== this.unique) return `a reply to request ${unique} in the place of request ${this.unique}`;
    if (length < OUT_HEADER_SIZE || length > usedLength) {
      return `a reply that says it has ${length} bytes: ${usedLength} were written`;
    }
    // fs/fuse/dev.c: an error is a negative errno above -ERESTARTSYS (512), and comes without payload.
    if (error > 0 || error <= -512) return `error ${error} in a reply: it must be 0 or from -511 to -1`;
    const payload = length - OUT_HEADER_SIZE;
    if (error !== 0) return payload === 0 ? error : `error ${error} with a payload of ${payload} bytes`;
    if (payload < this.minReply || payload > this.maxReply) {
      const wanted = this.minReply === this.maxReply ? `${this.minReply}` : `${this.minReply} to ${this.maxReply}`;
      return `a payload of ${payload} bytes: ${wanted} were asked for`;
    }
    return payload;
  }
}
