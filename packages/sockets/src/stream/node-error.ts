/** Errors as Node's own sockets have them. */
import { Errno, type ErrnoName, SystemError } from "@toril/virtio/platform";

export interface NodeSocketError extends Error {
  code: string;
  /** Negative, as in Node. */
  errno?: number;
  syscall: string;
  /** The peer's context id. */
  address?: string;
  port?: number;
}

export function nodeError(
  code: string,
  syscall: string,
  detail?: string,
  peer?: { readonly cid: number; readonly port: number },
): NodeSocketError {
  const where = peer === undefined ? "" : ` ${peer.cid}:${peer.port}`;
  const message = detail === undefined ? `${syscall} ${code}${where}` : `${syscall} ${code}${where} (${detail})`;
  const errno = code in Errno ? { errno: -Errno[code as ErrnoName] } : {};
  const address = peer === undefined ? {} : { address: String(peer.cid), port: peer.port };
  return Object.assign(new Error(message), { code, syscall }, errno, address);
}

/** The socket was closed by somebody else than the stream. */
export function wasClosed(error: unknown): boolean {
  return error instanceof SystemError && (error.errno === Errno.EBADF || error.errno === Errno.ECANCELED);
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function codeOf(error: unknown): string {
  return error instanceof SystemError ? error.code : "EIO";
}

export function messageOf(error: unknown): string | undefined {
  return error instanceof Error ? error.message : undefined;
}
