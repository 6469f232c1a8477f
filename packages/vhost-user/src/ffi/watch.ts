/**
 * Descriptors watched by Node's event loop (uv_poll), and the traps of that, each guarded here:
 * polling one descriptor twice aborts the process (the table says no first); a handle that is collected stops polling (the
 * table keeps it); and polling is level-triggered (a callback must drain its descriptor).
 */
import { libc, type PollHandle } from "./libc.ts";

const watched = new Map<number, PollHandle>();

export interface Watch {
  /** From now on the watch does not keep the process alive. */
  unref(): void;
  /** Before the descriptor is closed. Does nothing the second time. */
  close(): void;
}

/**
 * Calls back whenever `fd` is readable, has ended or has an error. For eventfds and sockets: a file aborts the process.
 * @throws Error when this thread watches it already
 */
export function watch(fd: number, onReadable: () => void): Watch {
  if (watched.has(fd)) throw new Error(`descriptor ${fd} is watched already: close the first watch`);
  const handle = libc().poll(fd, onReadable);
  watched.set(fd, handle);
  let open = true;
  return {
    unref: () => {
      if (open) handle.unref();
    },
    close: () => {
      if (!open) return;
      open = false;
      watched.delete(fd);
      handle.close();
    },
  };
}
