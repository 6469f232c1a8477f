/** From the socket that a program holds to what is behind it. */
import { Errno, SystemError } from "@toril/virtio/platform";
import type { VsockConnection } from "@toril/vsock";
import type { WaitOptions } from "./calls.ts";
import { SocketHandle } from "./handle.ts";
import type { Socket } from "./socket.ts";
import { refusal, type WaitScope } from "./wait.ts";

/** @throws SystemError what `refusal` finds */
export function refuse(syscall: string, scope: WaitScope, options: WaitOptions | undefined): void {
  const refused = refusal(syscall, scope, options);
  if (refused !== undefined) throw refused;
}

export function asHandle(socket: Socket): SocketHandle | undefined {
  return socket instanceof SocketHandle ? socket : undefined;
}

export function notASocket(syscall: string): SystemError {
  return new SystemError(Errno.ENOTSOCK, syscall, "that is not a socket of this system");
}

/** @throws SystemError ENOTSOCK */
export function handleOf(socket: Socket, syscall: string): SocketHandle {
  if (socket instanceof SocketHandle) return socket;
  throw notASocket(syscall);
}

/** @throws SystemError EBADF: waiting for a socket that is closed already makes no sense. */
export function handlesOf(sockets: readonly Socket[] | undefined): SocketHandle[] {
  return (sockets ?? []).map((socket) => {
    const handle = handleOf(socket, "select");
    handle.requireOpen("select");
    return handle;
  });
}

/** @throws SystemError ENOTCONN, EBADF */
export function connectionOf(socket: Socket, syscall: string): VsockConnection {
  const connection = handleOf(socket, syscall).connected();
  if (typeof connection === "number") throw new SystemError(-connection, syscall);
  return connection;
}
