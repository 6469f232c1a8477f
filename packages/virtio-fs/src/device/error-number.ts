/** Which errno a guest is told when a file system throws. */
import { Errno, type ErrnoName, SystemError } from "@toril/virtio/platform";

/**
 * The errno of a SystemError, or of an error whose `code` names one: Node's do, on every platform. `undefined` for
 * anything else: a bug, of which the guest learns EIO.
 */
export function errorNumber(error: unknown): number | undefined {
  if (error instanceof SystemError) return isWireErrno(error.errno) ? error.errno : undefined;
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  const { code } = error;
  // One number with two names on Linux; Node says the other one.
  if (code === "ENOTSUP") return Errno.EOPNOTSUPP;
  return typeof code === "string" && Object.hasOwn(Errno, code) ? Errno[code as ErrnoName] : undefined;
}

/** Linux drops a reply whose error is not in this range: the caller would wait for ever. */
function isWireErrno(errno: number): boolean {
  return Number.isInteger(errno) && errno > 0 && errno < 512;
}
