/**
 * Error numbers, as Linux has them (include/uapi/asm-generic/errno*.h): FUSE carries them on the wire, and the system
 * calls speak them. Calls of the `try…` form return a negative error number; calls that wait throw a SystemError.
 */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EBADMSG: 74,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

export type ErrnoName = keyof typeof Errno;
/** A positive Linux error number. */
export type ErrnoValue = (typeof Errno)[ErrnoName];

const names = new Map<number, ErrnoName>();
for (const name of Object.keys(Errno) as ErrnoName[]) names.set(Errno[name], name);

/** The name of an error number; `undefined` for one that is not in the table. */
export function errnoName(errno: number): ErrnoName | undefined {
  return names.get(errno);
}

/** A system call that failed. `code` is the errno's name, as in Node's own errors. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  /** Positive, as in Linux. */
  readonly errno: number;
  /** The call that failed, such as `connect`. */
  readonly syscall: string;

  /** @param detail what was asked for, with its values, and the remedy where there is one. */
  constructor(errno: number, syscall: string, detail?: string) {
    const code = names.get(errno) ?? `E${errno}`;
    super(detail === undefined ? `${syscall}: ${code}` : `${syscall}: ${code}: ${detail}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}
