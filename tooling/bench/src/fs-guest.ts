/** The program of `bench:fs`: does each operation again and again through the file calls, and reports what one takes. */
import type { Sys } from "@toril/machine";
import { LARGE, LISTED, type Operation, type RunTimes, SMALL, timesOf } from "./fs-operations.ts";

export async function main(sys: Sys): Promise<void> {
  const { milliseconds } = sys.args as { milliseconds: number };
  const times: RunTimes = await guestTimes(sys, milliseconds);
  sys.report("times", () => times);
  sys.ready();
  await new Promise<void>((resolve) => sys.stopping.addEventListener("abort", () => resolve(), { once: true }));
}

async function guestTimes(sys: Sys, milliseconds: number): Promise<RunTimes> {
  const { fs } = sys;
  const target = sys.memory.allocate(LARGE.bytes);
  if (target === undefined) throw new Error(`no ${LARGE.bytes} bytes of guest memory`);
  const readAll = async (path: string, bytes: number): Promise<void> => {
    const file = await fs.open(path);
    for (let at = 0; at < bytes; ) {
      const count = await fs.pread(file, { buffer: target, offset: at, length: bytes - at }, at);
      if (count === 0) throw new Error(`${path} ended after ${at} bytes`);
      at += count;
    }
    await fs.close(file);
  };
  const work: Record<Operation, () => Promise<unknown>> = {
    stat: () => fs.stat(`/${SMALL.name}`),
    "open, read 4 KiB, close": () => readAll(`/${SMALL.name}`, SMALL.bytes),
    "open, read 1 MiB, close": () => readAll(`/${LARGE.name}`, LARGE.bytes),
    "readdir of 10,000": async () => {
      const { length } = await fs.readdir(`/${LISTED.name}`);
      if (length !== LISTED.files) throw new Error(`${length} names in a directory of ${LISTED.files}`);
    },
  };
  const times = await timesOf(work, () => sys.clock.now(), milliseconds);
  target.free();
  return times;
}
