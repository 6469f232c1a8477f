/**
 * libc through koffi, an optional dependency: the only file that knows koffi, so that Node's own FFI can take its place.
 * What is built on these calls is in the files beside this one. Linux on 64 bits only.
 *
 * Pointers are BigInts. Nothing here keeps memory alive: a view of a mapping that was unmapped is a crash.
 */
import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";

/** Why FFI does not work here. */
export class FfiUnavailable extends Error {
  override readonly name = "FfiUnavailable";
}

/** A system call that failed. */
export class LibcError extends Error {
  override readonly name = "LibcError";
  readonly errno: number;
  constructor(call: string, errno: number) {
    super(`${call} failed: ${errno > 0 ? getSystemErrorName(-errno) : `errno ${errno}`}`);
    this.errno = errno;
  }
}

type Argument = number | bigint | string | Uint8Array | null;
type Native = (...args: Argument[]) => number | bigint;

/** uv_poll on a descriptor. Whoever has one must keep it: when it is collected, polling ends. */
export interface PollHandle {
  close(): void;
  unref(): void;
}

interface Koffi {
  load(path: string): { func(prototype: string): Native };
  view(pointer: bigint, length: number): ArrayBuffer;
  errno(): number;
  readonly node: {
    poll(fd: number, events: { readable: boolean }, callback: (status: number) => void): PollHandle | null;
  };
}

const PROTOTYPES = {
  memfd_create: "int memfd_create(const char *name, unsigned int flags)",
  ftruncate: "int ftruncate(int fd, int64_t length)",
  fcntl: "int fcntl(int fd, int command, int argument)",
  lseek: "int64_t lseek(int fd, int64_t offset, int whence)",
  mmap: "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)",
  munmap: "int munmap(void *address, size_t length)",
  eventfd: "int eventfd(unsigned int initial, int flags)",
  read: "int64_t read(int fd, _Out_ uint8_t *bytes, size_t length)",
  write: "int64_t write(int fd, const uint8_t *bytes, size_t length)",
  close: "int close(int fd)",
  poll: "int poll(void *fds, uint64_t count, int timeout)",
  socket: "int socket(int domain, int type, int protocol)",
  socketpair: "int socketpair(int domain, int type, int protocol, void *pair)",
  connect: "int connect(int fd, const uint8_t *address, uint32_t length)",
  bind: "int bind(int fd, const uint8_t *address, uint32_t length)",
  listen: "int listen(int fd, int backlog)",
  accept4: "int accept4(int fd, void *address, void *length, int flags)",
  sendmsg: "int64_t sendmsg(int fd, void *message, int flags)",
  recvmsg: "int64_t recvmsg(int fd, void *message, int flags)",
} as const;

const CLOSE_ON_EXEC = 0o2000000;
const NONBLOCK = 0o4000;
const EINTR = 4;
const EAGAIN = 11;

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const PROT_READ_WRITE = 3;
export const MapFlag = { Shared: 1, Private: 2, Fixed: 0x10, Anonymous: 0x20, NoReserve: 0x4000 } as const;

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW. */
const SEAL_SIZE = 1 | 2 | 4;
const SEEK_END = 2;

export class Libc {
  readonly call: Readonly<Record<keyof typeof PROTOTYPES, Native>>;
  readonly #koffi: Koffi;
  readonly #one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  readonly #eight: Uint8Array = new Uint8Array(8);

  constructor(koffi: Koffi) {
    this.#koffi = koffi;
    const library = koffi.load("libc.so.6");
    const entries = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
    this.call = Object.fromEntries(entries) as Record<keyof typeof PROTOTYPES, Native>;
  }

  /** @throws LibcError for a negative result, but for EAGAIN where that is expected: then -1. */
  check(call: string, result: number | bigint, expected: "no-error" | "try-again" = "no-error"): number {
    const value = Number(result);
    if (value >= 0) return value;
    const errno = this.#koffi.errno();
    if (expected === "try-again" && (errno === EAGAIN || errno === EINTR)) return -1;
    throw new LibcError(call, errno);
  }

  /**
   * A file in memory whose size is sealed: who gets its descriptor can map it, but cannot make it shorter, which would
   * end this process with SIGBUS at its next access.
   */
  createMemfd(name: string, size: number): number {
    const fd = this.check("memfd_create", this.call.memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    try {
      this.check("ftruncate", this.call.ftruncate(fd, size));
      this.check("fcntl", this.call.fcntl(fd, F_ADD_SEALS, SEAL_SIZE));
      return fd;
    } catch (error) {
      this.close(fd);
      throw error;
    }
  }

  /** A descriptor that a peer sent may block: a call on it never does after this. */
  makeNonBlocking(fd: number): void {
    const flags = this.check("fcntl", this.call.fcntl(fd, F_GETFL, 0));
    if ((flags & NONBLOCK) === 0) this.check("fcntl", this.call.fcntl(fd, F_SETFL, flags | NONBLOCK));
  }

  fileSize(fd: number): number {
    return this.check("lseek", this.call.lseek(fd, 0, SEEK_END));
  }

  /** @param at an address of an earlier mapping, to replace it; null: anywhere */
  map(at: bigint | null, size: number, flags: number, fd: number, offset: number): bigint {
    const pointer = BigInt(this.call.mmap(at, size, PROT_READ_WRITE, flags, fd, offset));
    if (BigInt.asUintN(64, pointer) === MAP_FAILED) throw new LibcError("mmap", this.#koffi.errno());
    return pointer;
  }

  unmap(pointer: bigint, size: number): void {
    this.call.munmap(pointer, size);
  }

  /** The bytes of a mapping. Touched after `unmap` it ends the process. */
  view(pointer: bigint, size: number): ArrayBuffer {
    return this.#koffi.view(pointer, size);
  }

  createEventfd(): number {
    return this.check("eventfd", this.call.eventfd(0, CLOSE_ON_EXEC | NONBLOCK));
  }

  /** Adds 1 to an eventfd. */
  ring(fd: number): void {
    this.call.write(fd, this.#one, 8);
  }

  /** Whether a non-blocking eventfd was rung since the last time. */
  drain(fd: number): boolean {
    return Number(this.call.read(fd, this.#eight, 8)) === 8;
  }

  close(fd: number): void {
    this.call.close(fd);
  }

  /**
   * Blocks this thread until one of `count` entries at `entries` (struct pollfd) has something, or a signal came.
   * @param timeoutMs whole milliseconds; -1: for ever
   */
  waitForAny(entries: bigint, count: number, timeoutMs: number): "ready" | "timed-out" {
    return this.check("poll", this.call.poll(entries, count, timeoutMs), "try-again") === 0 ? "timed-out" : "ready";
  }

  /** Only through `watch`, which guards what would abort the process. */
  poll(fd: number, callback: (status: number) => void): PollHandle {
    const handle = this.#koffi.node.poll(fd, { readable: true }, callback);
    if (handle === null) throw new LibcError(`uv_poll on descriptor ${fd}`, 0);
    return handle;
  }
}

let loaded: Libc | undefined;

/** @throws FfiUnavailable when this is no 64-bit Linux, or koffi cannot be loaded */
export function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const where = `${process.platform} ${process.arch}`;
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
    throw new FfiUnavailable(`vhost-user needs 64-bit Linux: this is ${where}`);
  }
  try {
    loaded = new Libc(createRequire(import.meta.url)("koffi") as Koffi);
  } catch (error) {
    if (error instanceof FfiUnavailable) throw error;
    throw new FfiUnavailable(`koffi is not installed, or has no binary for ${where}: ${String(error)}`);
  }
  if (typeof loaded.poll !== "function") throw new FfiUnavailable("this koffi has no node.poll: use 3.3 or newer");
  return loaded;
}
