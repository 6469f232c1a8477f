/**
 * All calls into libc, through koffi, which is an optional dependency: who asks for this module without it gets a
 * `FfiUnavailable` that says why. Linux on 64 bits only.
 *
 * Pointers are BigInts. Nothing here keeps memory alive: a view of a mapping that was unmapped is a crash.
 */
import { createRequire } from "node:module";

/** Why FFI does not work here. */
export class FfiUnavailable extends Error {
  override readonly name = "FfiUnavailable";
}

/** A system call that failed. */
export class LibcError extends Error {
  override readonly name = "LibcError";
  readonly errno: number;
  constructor(call: string, errno: number) {
    super(`${call} failed with errno ${errno}`);
    this.errno = errno;
  }
}

type Native = (...args: (number | bigint | string | Uint8Array | null)[]) => number | bigint;

interface Koffi {
  load(path: string): { func(prototype: string): Native };
  view(pointer: bigint, length: number): ArrayBuffer;
  errno(): number;
}

const MFD_CLOEXEC = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const SUN_PATH_MAX = 108;
const EAGAIN = 11;

// Layout of one page that sendmsg and recvmsg work with (64-bit Linux): msghdr, iovec, control data, payload.
const PAGE = 8192;
const IOVEC_AT = 64;
const CONTROL_AT = 128;
const CONTROL_SIZE = 256;
const PAYLOAD_AT = 512;
const CMSG_HEADER = 16;

/** Memory that other processes can map, too. */
export interface SharedMemory {
  readonly fd: number;
  readonly pointer: bigint;
  readonly size: number;
  readonly buffer: ArrayBuffer;
}

/** libc, as far as vhost-user needs it. */
export class Libc {
  readonly #koffi: Koffi;
  readonly #call: Readonly<Record<keyof typeof PROTOTYPES, Native>>;
  readonly #page: bigint;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #eight: Uint8Array = new Uint8Array(8);

  /** @throws FfiUnavailable when this is no 64-bit Linux, or koffi cannot be loaded */
  constructor() {
    const where = `${process.platform} ${process.arch}`;
    if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
      throw new FfiUnavailable(`vhost-user needs 64-bit Linux: this is ${where}`);
    }
    let load: () => Koffi;
    try {
      const koffi = createRequire(import.meta.url)("koffi") as Koffi;
      load = () => koffi;
    } catch (error) {
      throw new FfiUnavailable(`koffi is not installed, or has no binary for ${where}: ${String(error)}`);
    }
    this.#koffi = load();
    const libc = this.#koffi.load("libc.so.6");
    const entries = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, libc.func(prototype)]);
    this.#call = Object.fromEntries(entries) as Record<keyof typeof PROTOTYPES, Native>;
    this.#page = this.#map(PAGE, MAP_PRIVATE_ANONYMOUS, -1);
    const page = this.#koffi.view(this.#page, PAGE);
    this.#bytes = new Uint8Array(page);
    this.#view = new DataView(page);
  }

  /** @param size bytes, a multiple of 4,096 */
  createSharedMemory(name: string, size: number): SharedMemory {
    const fd = this.#check("memfd_create", this.#call.memfd_create(name, MFD_CLOEXEC));
    this.#check("ftruncate", this.#call.ftruncate(fd, size));
    const pointer = this.#map(size, MAP_SHARED, fd);
    return { fd, pointer, size, buffer: this.#koffi.view(pointer, size) };
  }

  /** Only when nobody has a view of it any more. */
  unmap(memory: SharedMemory): void {
    this.#call.munmap(memory.pointer, memory.size);
    this.close(memory.fd);
  }

  createEventfd(): number {
    return this.#check("eventfd", this.#call.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }

  /** Adds 1: whoever waits on it wakes. */
  ring(eventfd: number): void {
    this.#eight.fill(0);
    this.#eight[0] = 1;
    this.#call.write(eventfd, this.#eight, 8);
  }

  /** Whether it was rung since the last time; never waits. */
  drain(eventfd: number): boolean {
    return Number(this.#call.read(eventfd, this.#eight, 8)) === 8;
  }

  close(fd: number): void {
    this.#call.close(fd);
  }

  /**
   * A stream socket connected to a Unix socket; receiving gives up after `timeoutMs`.
   * @throws LibcError @throws RangeError when the path is too long
   */
  connect(path: string, timeoutMs: number): number {
    const name = new TextEncoder().encode(path);
    if (name.length >= SUN_PATH_MAX) throw new RangeError(`a socket path of ${name.length} bytes: at most 107 fit`);
    const address = new Uint8Array(2 + SUN_PATH_MAX);
    address[0] = AF_UNIX;
    address.set(name, 2);
    const fd = this.#check("socket", this.#call.socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0));
    try {
      const timeout = new BigInt64Array([BigInt(Math.floor(timeoutMs / 1000)), BigInt((timeoutMs % 1000) * 1000)]);
      const bytes = new Uint8Array(timeout.buffer);
      this.#check("setsockopt", this.#call.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, bytes, bytes.length));
      this.#check("connect", this.#call.connect(fd, address, 2 + name.length + 1));
    } catch (error) {
      this.close(fd);
      throw error;
    }
    return fd;
  }

  /** Sends all bytes, and descriptors with the first of them. @throws LibcError */
  send(socket: number, bytes: Uint8Array, fds: readonly number[]): void {
    if (bytes.length > PAGE - PAYLOAD_AT) throw new RangeError(`a message of ${bytes.length} bytes does not fit`);
    this.#prepare(bytes.length, fds.length * 4);
    this.#bytes.set(bytes, PAYLOAD_AT);
    if (fds.length > 0) {
      this.#view.setBigUint64(CONTROL_AT, BigInt(CMSG_HEADER + fds.length * 4), true);
      this.#view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
      this.#view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
      fds.forEach((fd, i) => {
        this.#view.setInt32(CONTROL_AT + CMSG_HEADER + 4 * i, fd, true);
      });
    }
    const sent = this.#check("sendmsg", this.#call.sendmsg(socket, this.#page, MSG_NOSIGNAL));
    // Messages are far smaller than a socket's buffer: a short send means that the peer has stopped reading.
    if (sent !== bytes.length) throw new LibcError(`sendmsg (${sent} of ${bytes.length} bytes)`, EAGAIN);
  }

  /** Receives exactly `length` bytes. @throws LibcError also when the peer closes (errno 0) or the time is up (EAGAIN) */
  receive(socket: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let got = 0; got < length; ) {
      this.#prepare(Math.min(length - got, PAGE - PAYLOAD_AT), 0);
      const count = this.#check("recvmsg", this.#call.recvmsg(socket, this.#page, 0));
      if (count === 0) throw new LibcError("recvmsg (the peer has closed)", 0);
      bytes.set(this.#bytes.subarray(PAYLOAD_AT, PAYLOAD_AT + count), got);
      got += count;
    }
    return bytes;
  }

  /** struct msghdr and struct iovec. */
  #prepare(length: number, controlBytes: number): void {
    this.#bytes.fill(0, 0, CONTROL_AT + CONTROL_SIZE);
    this.#view.setBigUint64(16, this.#page + BigInt(IOVEC_AT), true); // msg_iov
    this.#view.setBigUint64(24, 1n, true); // msg_iovlen
    this.#view.setBigUint64(IOVEC_AT, this.#page + BigInt(PAYLOAD_AT), true);
    this.#view.setBigUint64(IOVEC_AT + 8, BigInt(length), true);
    if (controlBytes === 0) return;
    this.#view.setBigUint64(32, this.#page + BigInt(CONTROL_AT), true); // msg_control
    this.#view.setBigUint64(40, BigInt(CMSG_HEADER + Math.ceil(controlBytes / 8) * 8), true); // msg_controllen
  }

  #map(size: number, flags: number, fd: number): bigint {
    const pointer = BigInt(this.#call.mmap(null, size, PROT_READ_WRITE, flags, fd, 0));
    if (BigInt.asUintN(64, pointer) === MAP_FAILED) throw new LibcError("mmap", this.#koffi.errno());
    return pointer;
  }

  #check(call: string, result: number | bigint): number {
    const value = Number(result);
    if (value < 0) throw new LibcError(call, this.#koffi.errno());
    return value;
  }
}

const PROTOTYPES = {
  memfd_create: "int memfd_create(const char *name, unsigned int flags)",
  ftruncate: "int ftruncate(int fd, int64_t length)",
  mmap: "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)",
  munmap: "int munmap(void *address, size_t length)",
  eventfd: "int eventfd(unsigned int initial, int flags)",
  read: "int64_t read(int fd, _Out_ uint8_t *bytes, size_t length)",
  write: "int64_t write(int fd, const uint8_t *bytes, size_t length)",
  close: "int close(int fd)",
  socket: "int socket(int domain, int type, int protocol)",
  connect: "int connect(int fd, const uint8_t *address, uint32_t length)",
  setsockopt: "int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)",
  sendmsg: "int64_t sendmsg(int fd, void *message, int flags)",
  recvmsg: "int64_t recvmsg(int fd, void *message, int flags)",
} as const;
