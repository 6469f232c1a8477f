/** Bytes between host files and guest memory, in place. */
import { fdatasync, fsync, read, readSync, readvSync, writeSync, writevSync } from "node:fs";
import { promisify } from "node:util";
import type { OpenFile, OpenHandles } from "./open-handles.ts";

const readAsync = promisify(read);
const fsyncAsync = promisify(fsync);
const fdatasyncAsync = promisify(fdatasync);

/** Fills the targets from `offset` on; fewer bytes only at the end of the file. */
export function fileRead(descriptor: number, offset: number, targets: readonly Uint8Array[]): number {
  const [only] = targets;
  const wanted = totalOf(targets);
  let done = 0;
  while (done < wanted) {
    const left = done === 0 ? targets : skip(targets, done);
    const count =
      targets.length === 1 && only !== undefined
        ? readSync(descriptor, only, done, wanted - done, offset + done)
        : readvSync(descriptor, left, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/**
 * The same in the thread pool, through a buffer of our own: when the session ends meanwhile, the targets are the guest's
 * again and nobody may write there.
 * @param isCurrent whether the session still goes on
 */
export async function fileReadPooled(
  handles: OpenHandles,
  open: OpenFile,
  offset: number,
  targets: readonly Uint8Array[],
  isCurrent: () => boolean,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(totalOf(targets));
  return await handles.run(open, async (descriptor) => {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await readAsync(descriptor, buffer, done, buffer.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    if (!isCurrent()) return 0;
    let from = 0;
    for (const target of targets) {
      const part = buffer.subarray(from, Math.min(from + target.length, done));
      target.set(part);
      from += part.length;
    }
    return done;
  });
}

/** Writes the sources; fewer bytes only when the host took no more. */
export function fileWrite(descriptor: number, offset: number, sources: readonly Uint8Array[]): number {
  const [only] = sources;
  const wanted = totalOf(sources);
  let done = 0;
  while (done < wanted) {
    try {
      const count =
        sources.length === 1 && only !== undefined
          ? writeSync(descriptor, only, done, wanted - done, offset + done)
          : writevSync(descriptor, done === 0 ? [...sources] : skip(sources, done), offset + done);
      if (count === 0) break;
      done += count;
    } catch (error) {
      // What was written was written: the error will come with the next call.
      if (done > 0) break;
      throw error;
    }
  }
  return done;
}

/** Waits for a disk, so it never runs on the device's thread. */
export async function fileSync(handles: OpenHandles, open: OpenFile, what: "data" | "all"): Promise<void> {
  await handles.run(open, (descriptor) => (what === "data" ? fdatasyncAsync(descriptor) : fsyncAsync(descriptor)));
}

function totalOf(views: readonly Uint8Array[]): number {
  let total = 0;
  for (const view of views) total += view.length;
  return total;
}

/** What is left of the views behind the first `done` bytes. */
function skip(views: readonly Uint8Array[], done: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let before = done;
  for (const view of views) {
    if (before >= view.length) before -= view.length;
    else {
      left.push(before === 0 ? view : view.subarray(before));
      before = 0;
    }
  }
  return left;
}
