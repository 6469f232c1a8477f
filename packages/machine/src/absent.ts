/**
 * System calls of a device that a core does not have: each says so in the way it says everything, by a rejected promise,
 * a negative errno, or an exception. The tables are checked against the interfaces, so no call can be forgotten.
 */
import type { BusCalls } from "@toril/kernel";
import type { SocketCalls } from "@toril/sockets";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { FileCalls } from "@toril/virtio-fs";

type MannerOf<Call> = Call extends (...args: never[]) => infer Result
  ? Result extends Promise<unknown>
    ? "rejects"
    : number extends Result
      ? "returns an errno"
      : "throws"
  : never;
/** How each call of an interface fails; `never` for what is no call. */
type Manners<Calls> = { readonly [Name in keyof Calls]: MannerOf<Calls[Name]> };

const FILE_CALLS: Manners<FileCalls> = {
  open: "rejects",
  close: "rejects",
  read: "rejects",
  pread: "rejects",
  write: "rejects",
  pwrite: "rejects",
  seek: "rejects",
  pin: "rejects",
  tryPin: "returns an errno",
  unpin: "throws",
  stat: "rejects",
  lstat: "rejects",
  tryStat: "returns an errno",
  readdir: "rejects",
  mkdir: "rejects",
  unlink: "rejects",
  rmdir: "rejects",
  rename: "rejects",
  link: "rejects",
  symlink: "rejects",
  readlink: "rejects",
  truncate: "rejects",
  chmod: "rejects",
  utimes: "rejects",
  fsync: "rejects",
  statfs: "rejects",
};

const SOCKET_CALLS: Manners<SocketCalls> = {
  socket: "throws",
  bind: "throws",
  listen: "throws",
  accept: "rejects",
  tryAccept: "throws",
  connect: "rejects",
  tryConnect: "returns an errno",
  send: "rejects",
  trySend: "returns an errno",
  sendBuffer: "rejects",
  trySendBuffer: "returns an errno",
  sendBuffers: "rejects",
  trySendBuffers: "returns an errno",
  loansMade: "returns an errno",
  loansReturned: "returns an errno",
  loansOver: "rejects",
  sendRoom: "returns an errno",
  flush: "throws",
  recv: "rejects",
  tryRecv: "returns an errno",
  peek: "rejects",
  tryPeek: "returns an errno",
  borrow: "rejects",
  tryBorrow: "returns an errno",
  tryBorrowInto: "returns an errno",
  select: "rejects",
  trySelect: "throws",
  shutdown: "throws",
  close: "throws",
  abort: "throws",
  adopt: "throws",
  getsockname: "throws",
  getpeername: "throws",
  // Its result depends on the option: no errno could be told from a value.
  getOption: "throws",
  setOption: "throws",
};

/** @param why what is missing, and how to have it */
export const absentFiles = (why: string): FileCalls => absentCalls<FileCalls>(FILE_CALLS, why);

/** @param why what is missing, and how to have it */
export const absentSockets = (why: string): SocketCalls => absentCalls<SocketCalls>(SOCKET_CALLS, why);

/** The bus of a machine of one core: there is nobody else on it. */
export function absentBus(core: number): BusCalls {
  const missing = (syscall: string): SystemError =>
    new SystemError(Errno.ENODEV, syscall, "this machine has one core: give it more (--cores)");
  return {
    core,
    cores: 1,
    maxMessage: 0,
    send: () => Promise.reject(missing("send")),
    trySend: () => -Errno.ENODEV,
    receive: () => Promise.reject(missing("receive")),
    tryReceive: () => undefined,
  };
}

function absentCalls<Calls>(manners: Manners<Calls>, why: string): Calls {
  const calls: Record<string, () => unknown> = {};
  for (const [name, manner] of Object.entries(manners)) {
    const missing = (): SystemError => new SystemError(Errno.ENODEV, name, why);
    if (manner === "rejects") calls[name] = () => Promise.reject(missing());
    else if (manner === "returns an errno") calls[name] = () => -Errno.ENODEV;
    else
      calls[name] = () => {
        throw missing();
      };
  }
  return calls as Calls;
}
