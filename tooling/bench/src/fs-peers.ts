/** The same operations by node:fs, on the same directory. */
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { LARGE, LISTED, type RunTimes, SMALL, timesOf } from "./fs-operations.ts";

export function syncTimes(directory: string, milliseconds: number): Promise<RunTimes> {
  const target = Buffer.alloc(LARGE.bytes);
  const readAll = (name: string, bytes: number): void => {
    const file = openSync(join(directory, name), "r");
    if (readSync(file, target, 0, bytes, 0) !== bytes) throw new Error(`${name} is too short`);
    closeSync(file);
  };
  return timesOf(
    {
      stat: async () => statSync(join(directory, SMALL.name)),
      "open, read 4 KiB, close": async () => readAll(SMALL.name, SMALL.bytes),
      "open, read 1 MiB, close": async () => readAll(LARGE.name, LARGE.bytes),
      // With types, as the guest gets them.
      "readdir of 10,000": async () => readdirSync(join(directory, LISTED.name), { withFileTypes: true }),
    },
    () => performance.now(),
    milliseconds,
  );
}

export function promiseTimes(directory: string, milliseconds: number): Promise<RunTimes> {
  const target = Buffer.alloc(LARGE.bytes);
  const readAll = async (name: string, bytes: number): Promise<void> => {
    const file = await open(join(directory, name));
    if ((await file.read(target, 0, bytes, 0)).bytesRead !== bytes) throw new Error(`${name} is too short`);
    await file.close();
  };
  return timesOf(
    {
      stat: () => stat(join(directory, SMALL.name)),
      "open, read 4 KiB, close": () => readAll(SMALL.name, SMALL.bytes),
      "open, read 1 MiB, close": () => readAll(LARGE.name, LARGE.bytes),
      "readdir of 10,000": () => readdir(join(directory, LISTED.name), { withFileTypes: true }),
    },
    () => performance.now(),
    milliseconds,
  );
}
