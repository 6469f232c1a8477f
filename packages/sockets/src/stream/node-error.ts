/** Errors as Node's own sockets have them. */
import { Errno, type ErrnoName } from "@toril/virtio/platform";

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
