/** Unix stream sockets that pass descriptors. Nothing here waits: -1 or `undefined` means "not now". */
import { libc } from "./libc.ts";

const AF_UNIX = 1;
/** SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK. */
const STREAM = 1 | 0o2000000 | 0o4000;
const ACCEPT_FLAGS = 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** MSG_NOSIGNAL: a peer that is gone is an error, not a signal. */
const SEND_FLAGS = 0x4000 | 0x40;
/** MSG_CMSG_CLOEXEC | MSG_DONTWAIT. */
const RECEIVE_FLAGS = 0x4000_0000 | 0x40;
const MSG_CTRUNC = 8;
const SUN_PATH_MAX = 108;
/** MAP_PRIVATE | MAP_ANONYMOUS. */
const PRIVATE_ANONYMOUS = 0x22;

// Layout of the memory that sendmsg and recvmsg work with (64-bit Linux): msghdr, iovec, control data, payload.
const SIZE = 16_384;
const IOVEC_AT = 64;
const CONTROL_AT = 128;
const CONTROL_SIZE = 256;
const PAYLOAD_AT = 512;
const CMSG_HEADER = 16;
const MSG_CONTROL = 32;
const MSG_CONTROL_LENGTH = 40;
const MSG_FLAGS = 48;

/** Bytes that one call moves at most. */
const MAX_TRANSFER = SIZE - PAYLOAD_AT;
/** Descriptors that one call moves at most: the protocol never needs more than 8. */
const MAX_FDS = 16;

interface Scratch {
  readonly pointer: bigint;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

let scratch: Scratch | undefined;

/** One per thread, for good: each call fills it and reads it before anything else can. */
function scratchMemory(): Scratch {
  if (scratch !== undefined) return scratch;
  const pointer = libc().map(null, SIZE, PRIVATE_ANONYMOUS, -1, 0);
  const buffer = libc().view(pointer, SIZE);
  scratch = { pointer, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
  return scratch;
}

/**
 * A socket connected to `path`; -1 when the listener's backlog is full.
 * @throws LibcError (ENOENT, ECONNREFUSED…); RangeError when the path is too long
 */
export function connectUnix(path: string): number {
  return openSocket(path, (fd, address) => {
    return libc().check(`connect to ${path}`, libc().call.connect(fd, address, address.length), "try-again");
  });
}

/** A listening socket. @throws LibcError (EADDRINUSE…); RangeError when the path is too long */
export function listenUnix(path: string, backlog = 16): number {
  return openSocket(path, (fd, address) => {
    libc().check(`bind to ${path}`, libc().call.bind(fd, address, address.length));
    return libc().check("listen", libc().call.listen(fd, backlog));
  });
}

/** A new connection of a listening socket; -1 when there is none. */
export function acceptUnix(listener: number): number {
  return libc().check("accept", libc().call.accept4(listener, null, null, ACCEPT_FLAGS), "try-again");
}

/** Two sockets that are connected to each other. */
export function socketPair(): readonly [number, number] {
  const { pointer, view } = scratchMemory();
  libc().check("socketpair", libc().call.socketpair(AF_UNIX, STREAM, 0, pointer));
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

function openSocket(path: string, use: (fd: number, address: Uint8Array) => number): number {
  const name = new TextEncoder().encode(path);
  if (name.length >= SUN_PATH_MAX) throw new RangeError(`a socket path of ${name.length} bytes: at most 107 fit`);
  const address = new Uint8Array(2 + name.length + 1);
  address[0] = AF_UNIX;
  address.set(name, 2);
  const fd = libc().check("socket", libc().call.socket(AF_UNIX, STREAM, 0));
  let result = -1;
  try {
    result = use(fd, address);
  } finally {
    if (result < 0) libc().close(fd);
  }
  return result < 0 ? -1 : fd;
}

/** How many bytes were sent, the descriptors with the first of them; -1 when the socket's buffer is full. */
export function sendBytes(socket: number, bytes: Uint8Array, fds: readonly number[]): number {
  if (bytes.length > MAX_TRANSFER || fds.length > MAX_FDS) {
    throw new RangeError(`${bytes.length} bytes with ${fds.length} descriptors do not fit into one message`);
  }
  const { pointer, view, bytes: memory } = prepare(bytes.length, fds.length * 4);
  memory.set(bytes, PAYLOAD_AT);
  if (fds.length > 0) {
    view.setBigUint64(CONTROL_AT, BigInt(CMSG_HEADER + fds.length * 4), true);
    view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
    view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
    fds.forEach((fd, i) => {
      view.setInt32(CONTROL_AT + CMSG_HEADER + 4 * i, fd, true);
    });
  }
  return libc().check("sendmsg", libc().call.sendmsg(socket, pointer, SEND_FLAGS), "try-again");
}

/** What one receive gave. `truncated`: the peer sent more descriptors than anyone may; the kernel closed the rest. */
export interface Received {
  /** 0: the peer has closed. */
  readonly bytes: Uint8Array;
  /** Owned by the caller from now on. */
  readonly fds: readonly number[];
  readonly descriptors: "complete" | "truncated";
}

/** At most `length` bytes; `undefined` when there are none yet. @throws LibcError */
export function receiveBytes(socket: number, length: number): Received | undefined {
  const { pointer, view, bytes } = prepare(Math.min(length, MAX_TRANSFER), MAX_FDS * 4);
  const count = libc().check("recvmsg", libc().call.recvmsg(socket, pointer, RECEIVE_FLAGS), "try-again");
  if (count < 0) return undefined;
  const fds: number[] = [];
  const controlEnd = CONTROL_AT + Math.min(CONTROL_SIZE, Number(view.getBigUint64(MSG_CONTROL_LENGTH, true)));
  for (let at = CONTROL_AT; at + CMSG_HEADER <= controlEnd; ) {
    const end = at + Number(view.getBigUint64(at, true));
    if (end < at + CMSG_HEADER || end > controlEnd) break;
    const isRights = view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS;
    for (let i = at + CMSG_HEADER; isRights && i + 4 <= end; i += 4) fds.push(view.getInt32(i, true));
    at = Math.ceil(end / 8) * 8;
  }
  const descriptors = (view.getInt32(MSG_FLAGS, true) & MSG_CTRUNC) === 0 ? "complete" : "truncated";
  return { bytes: bytes.slice(PAYLOAD_AT, PAYLOAD_AT + count), fds, descriptors };
}

/** struct msghdr and struct iovec. */
function prepare(length: number, controlBytes: number): Scratch {
  const memory = scratchMemory();
  const { pointer, bytes, view } = memory;
  bytes.fill(0, 0, CONTROL_AT + CONTROL_SIZE);
  view.setBigUint64(16, pointer + BigInt(IOVEC_AT), true); // msg_iov
  view.setBigUint64(24, 1n, true); // msg_iovlen
  view.setBigUint64(IOVEC_AT, pointer + BigInt(PAYLOAD_AT), true);
  view.setBigUint64(IOVEC_AT + 8, BigInt(length), true);
  if (controlBytes === 0) return memory;
  view.setBigUint64(MSG_CONTROL, pointer + BigInt(CONTROL_AT), true);
  view.setBigUint64(MSG_CONTROL_LENGTH, BigInt(CMSG_HEADER + Math.ceil(controlBytes / 8) * 8), true);
  return memory;
}
