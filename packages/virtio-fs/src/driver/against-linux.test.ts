/**
 * Random calls, made twice: on a MemoryFileSystem through driver and device, and on a real directory through Linux. Both
 * must answer alike, errnos included, in every cache mode: who is the only one to change files must never see that there
 * is a cache. And at the end every lookup that the device counted must have been given back.
 */
import { mkdtempSync, rmSync } from "node:fs";
import * as linux from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "@toril/virtio/platform";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type FileSystem, MemoryFileSystem, type NodeId, VirtioFsDevice } from "../device/index.ts";
import type { FileCalls } from "../file-calls.ts";
import { TestMount } from "../testing/test-mount.ts";

const name = fc.constantFrom("a", "b", "c", "d\u00e9", "missing");
const path = fc
  .tuple(
    fc.array(
      fc.oneof(
        name,
        fc.constant("."),
        name.map((n) => `${n}/..`),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    fc.constantFrom("", "", "", "/"),
  )
  .map(([names, slash]) => names.join("/") + slash);
const target = fc.array(name, { minLength: 1, maxLength: 2 }).map((names) => names.join("/"));
const content = fc.tuple(
  fc.integer({ min: 0, max: 255 }),
  fc.constantFrom(0, 1, 100, 4096, 5000, 65_536, 70_000, 200_000),
);
const position = fc.constantFrom(0, 1, 4095, 4096, 65_535, 65_536, 100_000);

type Step = { readonly call: string; run(calls: Side): Promise<unknown> };

/** What both sides can do. */
interface Side {
  mkdir(path: string): Promise<unknown>;
  rmdir(path: string): Promise<unknown>;
  unlink(path: string): Promise<unknown>;
  rename(from: string, to: string): Promise<unknown>;
  link(existing: string, path: string): Promise<unknown>;
  symlink(target: string, path: string): Promise<unknown>;
  readlink(path: string): Promise<string>;
  stat(path: string): Promise<unknown>;
  lstat(path: string): Promise<unknown>;
  readdir(path: string): Promise<readonly string[]>;
  truncate(path: string, size: number): Promise<unknown>;
  chmod(path: string, mode: number): Promise<unknown>;
  utimes(path: string, mtimeMs: number): Promise<unknown>;
  write(path: string, mode: "w" | "wx" | "a" | "r+", byte: number, length: number, position: number): Promise<unknown>;
  read(path: string, position: number, length: number): Promise<string>;
}

const one = <K extends keyof Side>(call: K, arbitrary: fc.Arbitrary<Parameters<Side[K]>>): fc.Arbitrary<Step> =>
  arbitrary.map((args) => ({
    call: `${call}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`,
    run: (side) => (side[call] as (...given: unknown[]) => Promise<unknown>)(...args),
    toString: () => call,
  }));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: one("mkdir", fc.tuple(path)) },
  one("rmdir", fc.tuple(path)),
  one("unlink", fc.tuple(path)),
  { weight: 2, arbitrary: one("rename", fc.tuple(path, path)) },
  one("link", fc.tuple(path, path)),
  { weight: 2, arbitrary: one("symlink", fc.tuple(target, path)) },
  one("readlink", fc.tuple(path)),
  { weight: 2, arbitrary: one("stat", fc.tuple(path)) },
  one("lstat", fc.tuple(path)),
  { weight: 2, arbitrary: one("readdir", fc.tuple(path)) },
  one("truncate", fc.tuple(path, position)),
  one("chmod", fc.tuple(path, fc.constantFrom(0o600, 0o755, 0o444))),
  one("utimes", fc.tuple(path, fc.constantFrom(0, 1500, 1_700_000_000_250, 86_400_500))),
  {
    weight: 4,
    arbitrary: fc
      .tuple(path, fc.constantFrom("w" as const, "wx" as const, "a" as const, "r+" as const), content, position)
      .chain(([p, mode, [byte, length], at]) => one("write", fc.constant([p, mode, byte, length, at]))),
  },
  { weight: 4, arbitrary: one("read", fc.tuple(path, position, fc.constantFrom(1, 5000, 70_000, 300_000))) },
);

/** Enough of the bytes to tell two contents apart. */
function digest(bytes: Uint8Array): string {
  let hash = 17;
  for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) | 0;
  return `${bytes.length}:${hash}`;
}

function onLinux(root: string): Side {
  const at = (p: string): string => `${root}/${p}`;
  const show = (s: Awaited<ReturnType<typeof linux.stat>>): unknown => ({
    directory: s.isDirectory(),
    link: s.isSymbolicLink(),
    size: s.isFile() ? Number(s.size) : 0,
    links: s.isFile() ? Number(s.nlink) : 0,
    permissions: s.isSymbolicLink() ? 0 : Number(s.mode) & 0o777,
  });
  return {
    mkdir: (p) => linux.mkdir(at(p), 0o755),
    rmdir: (p) => linux.rmdir(at(p)),
    unlink: (p) => linux.unlink(at(p)),
    rename: (from, to) => linux.rename(at(from), at(to)),
    link: (existing, p) => linux.link(at(existing), at(p)),
    symlink: (to, p) => linux.symlink(to, at(p)),
    readlink: (p) => linux.readlink(at(p)),
    stat: async (p) => show(await linux.stat(at(p))),
    lstat: async (p) => show(await linux.lstat(at(p))),
    readdir: async (p) => (await linux.readdir(at(p))).sort(),
    truncate: (p, size) => linux.truncate(at(p), size),
    chmod: (p, mode) => linux.chmod(at(p), mode),
    utimes: async (p, mtimeMs) => {
      await linux.utimes(at(p), 1, mtimeMs / 1000);
      return Math.floor((await linux.stat(at(p))).mtimeMs);
    },
    write: async (p, mode, byte, length, position) => {
      const file = await linux.open(at(p), mode, 0o644);
      try {
        return (await file.write(new Uint8Array(length).fill(byte), 0, length, position)).bytesWritten;
      } finally {
        await file.close();
      }
    },
    read: async (p, position, length) => {
      const file = await linux.open(at(p), "r");
      try {
        // Linux opens directories; our calls say at once what its read says.
        const bytes = new Uint8Array(length);
        return digest(bytes.subarray(0, (await file.read(bytes, 0, length, position)).bytesRead));
      } finally {
        await file.close();
      }
    },
  };
}

function onToril(calls: FileCalls): Side {
  const show = (s: Awaited<ReturnType<FileCalls["stat"]>>): unknown => ({
    directory: s.type === "directory",
    link: s.type === "symlink",
    size: s.type === "file" ? s.size : 0,
    links: s.type === "file" ? s.links : 0,
    permissions: s.type === "symlink" ? 0 : s.mode & 0o777,
  });
  return {
    mkdir: (p) => calls.mkdir(p),
    rmdir: (p) => calls.rmdir(p),
    unlink: (p) => calls.unlink(p),
    rename: (from, to) => calls.rename(from, to),
    link: (existing, p) => calls.link(existing, p),
    symlink: (to, p) => calls.symlink(to, p),
    readlink: async (p) => new TextDecoder().decode(await calls.readlink(p)),
    stat: async (p) => show(await calls.stat(p)),
    lstat: async (p) => show(await calls.lstat(p)),
    readdir: async (p) => (await calls.readdir(p, { plus: p.length % 2 === 0 })).map((entry) => entry.name).sort(),
    truncate: (p, size) => calls.truncate(p, size),
    chmod: (p, mode) => calls.chmod(p, mode),
    utimes: async (p, mtimeMs) => {
      await calls.utimes(p, 1000, mtimeMs);
      return Math.floor((await calls.stat(p)).mtimeMs);
    },
    write: async (p, mode, byte, length, position) => {
      const file = await calls.open(p, { mode, permissions: 0o644 });
      try {
        return await calls.pwrite(file, new Uint8Array(length).fill(byte), position);
      } finally {
        await calls.close(file);
      }
    },
    read: async (p, position, length) => {
      const file = await calls.open(p);
      try {
        const bytes = new Uint8Array(length);
        return digest(bytes.subarray(0, await calls.pread(file, bytes, position)));
      } finally {
        await calls.close(file);
      }
    },
  };
}

async function outcome(work: Promise<unknown>): Promise<unknown> {
  try {
    return { result: (await work) ?? "done" };
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === undefined || !(error instanceof SystemError || "syscall" in (error as object))) throw error;
    return { code };
  }
}

/** Counts what the device's file system gives out and gets back. */
function counting(fs: MemoryFileSystem, counts: Map<NodeId, number>): FileSystem {
  const add = (node: NodeId, count: number): void => {
    counts.set(node, (counts.get(node) ?? 0) + count);
  };
  const entries = new Set(["lookup", "create", "mkdir", "symlink", "link"]);
  return new Proxy(fs, {
    get(own, key) {
      const value: unknown = Reflect.get(own, key, own);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (key === "forget") add(args[0] as NodeId, -(args[1] as number));
        if (key === "readdir") {
          const emit = args[4] as (item: { entry?: { node: NodeId } }) => boolean;
          args[4] = (item: { entry?: { node: NodeId } }): boolean => {
            const taken = emit(item);
            if (taken && item.entry !== undefined) add(item.entry.node, 1);
            return taken;
          };
        }
        const result: unknown = value.apply(own, args);
        if (entries.has(String(key))) add((result as { node: NodeId }).node, 1);
        return result;
      };
    },
  });
}

const work = mkdtempSync(join(tmpdir(), "toril-files-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

describe.each(["none", "auto", "always"] as const)("cache mode %s", (mode) => {
  test("answers as Linux does, and gives every lookup back", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(1500), async (steps, pause) => {
        const root = join(work, `${mode}-${run++}`);
        await linux.mkdir(root);
        const counts = new Map<NodeId, number>();
        const fileSystem = counting(new MemoryFileSystem(), counts);
        const device = new VirtioFsDevice({ fileSystem, tag: "host" });
        const mount = await TestMount.start(device, { cache: { mode, bytes: 300_000 }, maxNames: 6 });
        const ours = onToril(mount.calls);
        const theirs = onLinux(root);
        const log: string[] = [];
        for (const { call, run: make } of steps) {
          const [expected, actual] = [await outcome(make(theirs)), await mount.run(outcome(make(ours)))];
          log.push(`${call} -> ${JSON.stringify(expected)}`);
          expect(actual, log.join("\n")).toEqual(expected);
          if (pause > 1000) mount.clock.advance(pause / 2);
        }
        await mount.idle();
        const held = [...counts.values()].filter((count) => count !== 0).length;
        expect(held).toBe(mount.driver.stats.nodes - 1); // all but the root
        if (mode === "none") expect(held).toBe(0);
        expect([...counts.values()].every((count) => count >= 0)).toBe(true);
        await mount.run(mount.driver.close());
        expect(mount.heap.stats().bytesInUse).toBe(0);
        await linux.rm(root, { recursive: true });
      }),
      { numRuns: Number(process.env["TORIL_RUNS"] ?? 60) },
    );
  }, 600_000);
});
