/**
 * A trace of the file requests on a driver's queues, in the manner of strace: a line for each, when its reply is there.
 *
 *     LOOKUP node=1 "index.html" = 0, 144 bytes, 31 us
 *     READ node=2 fh=1 offset=0 size=131072 = 0, 131088 bytes, 58 us
 *     LOOKUP node=1 "nothing" = ENOENT, 16 bytes, 20 us
 */
import { gatherBytes, type QueueTap, type TappedChain } from "@toril/virtio";
import { errnoName } from "@toril/virtio/platform";
import {
  createInHeader,
  createOutHeader,
  getQuantity,
  getU32,
  IN_HEADER_SIZE,
  type Opaque64,
  Opcode,
  OUT_HEADER_SIZE,
  opcodeName,
  readInHeader,
  readOutHeader,
} from "../wire/index.ts";

/** Enough for the arguments and two names of 255 bytes; data is not shown. */
const LOOKED_AT = 1024;

/** What stands between the header and the first name, in bytes, for requests that name something. */
const NAMES_AT = new Map<number, number>([
  [Opcode.Lookup, 0],
  [Opcode.Unlink, 0],
  [Opcode.Rmdir, 0],
  [Opcode.Symlink, 0],
  [Opcode.Mkdir, 8],
  [Opcode.Link, 8],
  [Opcode.Rename, 8],
  [Opcode.Mknod, 16],
  [Opcode.Create, 16],
  [Opcode.Rename2, 16],
]);

/** struct fuse_read_in and fuse_write_in begin alike: fh, offset, size. */
const TRANSFERS: ReadonlySet<number> = new Set([Opcode.Read, Opcode.Write, Opcode.Readdir, Opcode.Readdirplus]);
const HANDLES: ReadonlySet<number> = new Set([Opcode.Release, Opcode.Releasedir, Opcode.Flush, Opcode.Fsync]);

/**
 * A tap for a file driver.
 * @param sink takes a line, without its end; must not throw
 * @param nowMs milliseconds from any start, with a fraction
 */
export function fuseTrace(sink: (line: string) => void, nowMs: () => number): QueueTap {
  const underWay = new WeakMap<TappedChain, { readonly text: string; readonly start: number }>();
  return {
    available(_queueIndex, chain) {
      underWay.set(chain, { text: describeRequest(gatherBytes(chain.readable, LOOKED_AT)), start: nowMs() });
    },
    used(_queueIndex, chain, written) {
      const request = underWay.get(chain);
      if (request === undefined) return;
      const elapsed = Math.round((nowMs() - request.start) * 1000);
      sink(
        `${request.text}${describeReply(gatherBytes(chain.writable, Math.min(written, OUT_HEADER_SIZE)), written)}, ${elapsed} us`,
      );
    },
  };
}

/** The request in words; of one that is too short, that. */
export function describeRequest(bytes: Uint8Array): string {
  if (bytes.length < IN_HEADER_SIZE) return `a request of ${bytes.length} bytes`;
  const header = createInHeader();
  readInHeader(bytes, 0, header);
  return [opcodeName(header.opcode), `node=${decimal(header.node)}`, ...describeArguments(header.opcode, bytes)].join(
    " ",
  );
}

function describeArguments(opcode: number, bytes: Uint8Array): string[] {
  const at = IN_HEADER_SIZE;
  if (TRANSFERS.has(opcode)) {
    return [`fh=${getQuantity(bytes, at)}`, `offset=${getQuantity(bytes, at + 8)}`, `size=${getU32(bytes, at + 16)}`];
  }
  if (HANDLES.has(opcode)) return [`fh=${getQuantity(bytes, at)}`];
  if (opcode === Opcode.Open || opcode === Opcode.Opendir) return [`flags=0o${getU32(bytes, at).toString(8)}`];
  if (opcode === Opcode.Forget) return [`lookups=${getQuantity(bytes, at)}`];
  if (opcode === Opcode.BatchForget) return [`nodes=${getU32(bytes, at)}`];
  const skipped = NAMES_AT.get(opcode);
  return skipped === undefined ? [] : namesFrom(bytes, at + skipped);
}

/** Each NUL-terminated name, quoted; bytes outside printable ASCII as `\xHH`. */
function namesFrom(bytes: Uint8Array, start: number): string[] {
  const names: string[] = [];
  let name = "";
  for (const byte of bytes.subarray(start)) {
    if (byte === 0) {
      names.push(`"${name}"`);
      name = "";
    } else if (byte === 0x22 || byte === 0x5c) name += `\\${String.fromCharCode(byte)}`;
    else name += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return names;
}

function describeReply(header: Uint8Array, written: number): string {
  if (written === 0) return " = no reply";
  if (header.length < OUT_HEADER_SIZE) return ` = a reply of ${written} bytes`;
  const reply = createOutHeader();
  readOutHeader(header, 0, reply);
  const outcome = reply.error === 0 ? "0" : (errnoName(-reply.error) ?? `error ${reply.error}`);
  return ` = ${outcome}, ${reply.length} bytes`;
}

/** Node ids are opaque; small ones read well as numbers. */
function decimal({ low, high }: Opaque64): string {
  return high === 0 ? String(low) : `0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`;
}
