/** The program of `bench:fs`: does each operation again and again through the file calls, and reports what one takes. */
import type { Sys } from "@toril/machine";
import { LARGE, LISTED, type Operation, operations, type RunTimes, SMALL } from "./fs-operations.ts";

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
  const times: Partial<RunTimes> = {};
  for (const operation of operations)
    times[operation] = await timeOf(work[operation], () => sys.clock.now(), milliseconds);
  target.free();
  return times as RunTimes;
}

/** Microseconds for one, over at least `milliseconds`, after a tenth of that to warm up. */
export async function timeOf(work: () => Promise<unknown>, now: () => number, milliseconds: number): Promise<number> {
  for (const until = now() + milliseconds / 10; now() < until; ) await work();
  const start = now();
  let done = 0;
  while (now() < start + milliseconds) {
    for (let i = 0; i < 4; i++) await work();
    done += 4;
  }
  return ((now() - start) * 1000) / done;
}
