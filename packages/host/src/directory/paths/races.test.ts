/**
 * Every race there is, one by one: a call is run again and again, and each time something is swapped before its k-th
 * system call, and swapped back before a later one or never. Nothing of the outside may come out of any of them.
 */
import {
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type NodeId, ROOT_NODE } from "@toril/virtio-fs/device";
import { afterEach, describe, expect, test, vi } from "vitest";
import { code, content, directory, name, serve } from "../../testing/served-directory.ts";
import type { HostDirectory } from "../host-directory.ts";

interface SystemCall {
  /** In the call that is tested. */
  readonly number: number;
  readonly name: string;
  readonly path: string;
}

/** Called before each system call. `time`: whether the file system tells two moments apart. */
const hook = vi.hoisted(() => ({
  count: 0,
  before: undefined as ((call: SystemCall) => void) | undefined,
  time: "fine" as "fine" | "stands still",
}));

vi.mock("node:fs", async (original) => {
  const real = await original<Record<string, unknown>>();
  const watched = Object.entries(real).map(([key, value]) => {
    if (typeof value !== "function" || !key.endsWith("Sync")) return [key, value];
    const call = (...args: unknown[]): unknown => {
      hook.before?.({ number: hook.count++, name: key, path: String(args[0]) });
      const result: unknown = Reflect.apply(value, real, args);
      if (key === "lstatSync" && hook.time === "stands still") Object.assign(result ?? {}, { ctimeNs: 0n });
      return result;
    };
    return [key, Object.assign(call, value)];
  });
  return Object.fromEntries(watched) as object;
});

afterEach(() => {
  hook.before = undefined;
  hook.time = "fine";
});

interface Swap {
  there(): void;
  back(): void;
}

/** Without the hook: what another process does. Its file system must tell one moment from the next. */
function elsewhere(root: string, change: () => void): void {
  const { before, time: seen } = hook;
  hook.before = undefined;
  hook.time = "fine";
  const time = lstatSync(root, { bigint: true }).ctimeNs;
  change();
  while (lstatSync(root, { bigint: true }).ctimeNs === time) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    renameSync(join(root, "bystander"), join(root, "moved-bystander"));
    renameSync(join(root, "moved-bystander"), join(root, "bystander"));
  }
  hook.before = before;
  hook.time = seen;
}

/** `d` with its file, and a directory outside with a file of the same name, which a link takes the guest to. */
function place(): { root: string; outside: string; swapDirectory: Swap; swapFile: Swap } {
  const base = directory();
  const [root, outside] = [join(base, "root"), join(base, "outside")];
  for (const path of [root, outside, join(root, "d")]) mkdirSync(path);
  writeFileSync(join(root, "bystander"), "");
  writeFileSync(join(root, "d", "file"), "inside");
  writeFileSync(join(outside, "file"), "secret", { mode: 0o600 });
  writeFileSync(join(outside, "only-outside"), "secret");
  const swapping = (at: string, target: string): Swap => ({
    there: () =>
      elsewhere(root, () => {
        renameSync(join(root, at), join(root, "away"));
        symlinkSync(target, join(root, at));
      }),
    back: () =>
      elsewhere(root, () => {
        renameSync(join(root, at), join(root, `link-${hook.count}`));
        renameSync(join(root, "away"), join(root, at));
      }),
  });
  return { root, outside, swapDirectory: swapping("d", outside), swapFile: swapping("d/file", join(outside, "file")) };
}

/** Runs `call` with each swap before call `there` and back before call `back`, until the swap is later than all calls. */
function allRaces(
  which: "swapDirectory" | "swapFile",
  prepare: (fs: HostDirectory) => NodeId,
  call: (fs: HostDirectory, node: NodeId) => unknown,
  check: (outcome: { result?: unknown; code?: unknown }, where: ReturnType<typeof place>) => void,
): number {
  let races = 0;
  for (let there = 0; ; there++) {
    for (let back = there + 1; ; back++) {
      const where = place();
      const fs = serve(where.root, { access: "writable", confinement: "paths" });
      const node = prepare(fs);
      let swaps = 0;
      hook.count = 0;
      hook.before = ({ number }) => {
        if (number === there) where[which].there();
        else if (number === back) where[which].back();
        else return;
        swaps++;
      };
      const outcome: { result?: unknown; code?: unknown } = {};
      try {
        outcome.result = call(fs, node);
      } catch (error) {
        outcome.code = (error as { code?: unknown }).code ?? error;
      }
      hook.before = undefined;
      check(outcome, where);
      expect(lstatSync(join(where.outside, "file")).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(where.outside, "file"), "utf8")).toBe("secret");
      fs.close();
      races++;
      if (swaps === 0) return races;
      if (swaps === 1) break;
    }
  }
}

const lookupDirectory = (fs: HostDirectory): NodeId => fs.lookup(ROOT_NODE, name("d")).node;
const lookupFile = (fs: HostDirectory): NodeId => fs.lookup(lookupDirectory(fs), name("file")).node;
const HONEST = [undefined, "ESTALE", "ENOENT", "ELOOP"];

describe.each(["swapDirectory", "swapFile"] as const)("%s", (which) => {
  test("LOOKUP, OPEN and READ never see what is outside", () => {
    const readIt = (fs: HostDirectory, node: NodeId): string => content(fs, fs.lookup(node, name("file")).node);
    const seen = new Set<unknown>();
    const races = allRaces(which, lookupDirectory, readIt, (outcome) => {
      seen.add(outcome.result);
      expect(HONEST).toContain(outcome.code);
    });
    expect([...seen].filter((text) => text !== undefined)).toEqual(["inside"]);
    expect(races).toBeGreaterThan(30);
  });

  test("GETATTR tells of nothing outside", () => {
    const inodeOf = (fs: HostDirectory, node: NodeId): unknown => fs.getattr(node, undefined).attributes.inode;
    allRaces(which, lookupFile, inodeOf, ({ result, code: error }, { outside }) => {
      expect(result).not.toBe(lstatSync(join(outside, "file"), { bigint: true }).ino);
      expect(HONEST).toContain(error);
    });
  });

  test("OPEN with O_TRUNC and SETATTR change nothing outside", () => {
    // allRaces looks at the file outside after each.
    allRaces(
      which,
      lookupFile,
      (fs, node) => fs.open(node, 0o1000 | 1),
      ({ code: error }) => {
        expect(HONEST).toContain(error);
      },
    );
    const all = { mode: 0o777, size: 0, mtime: "now" } as const;
    allRaces(
      which,
      lookupFile,
      (fs, node) => fs.setattr(node, all, undefined),
      ({ code: error }) => {
        expect(HONEST).toContain(error);
      },
    );
  });
});

test("READDIR lists nothing of the outside", () => {
  const list = (fs: HostDirectory, node: NodeId): string[] => {
    const names: string[] = [];
    const { handle } = fs.opendir(node);
    fs.readdir(node, handle, 0, true, (item) => names.push(new TextDecoder().decode(item.name)) > 0);
    return names;
  };
  allRaces("swapDirectory", lookupDirectory, list, ({ result, code: error }) => {
    expect(result ?? []).not.toContain("only-outside");
    expect(HONEST).toContain(error);
  });
});

test("UNLINK and RENAME outside cannot be prevented; while the swap lasts they are not reported as done", () => {
  const calls: ((fs: HostDirectory, node: NodeId) => void)[] = [
    (fs, node) => fs.unlink(node, name("only-outside")),
    (fs, node) => fs.rename(node, name("only-outside"), ROOT_NODE, name("caught"), 0),
  ];
  for (const call of calls) {
    let escaped = 0;
    allRaces("swapDirectory", lookupDirectory, call, ({ code: error }, { root, outside }) => {
      expect(HONEST).toContain(error);
      if (readdirSync(outside).includes("only-outside") || !lstatSync(join(root, "d")).isSymbolicLink()) return;
      escaped++;
      expect(error).toBe("ESTALE");
    });
    expect(escaped).toBeGreaterThan(0);
  }
});

test("CREATE outside cannot be prevented, but it is never reported as done, and what is there is not touched", () => {
  const create = (fs: HostDirectory, node: NodeId): unknown => fs.create(node, name("new"), 0o644, 2);
  let escaped = 0;
  allRaces("swapDirectory", lookupDirectory, create, ({ result, code: error }, { outside }) => {
    expect(HONEST).toContain(error);
    if (!readdirSync(outside).includes("new")) return;
    escaped++;
    expect([result, error]).toEqual([undefined, "ESTALE"]);
  });
  expect(escaped).toBeGreaterThan(0); // or the test tests nothing
  allRaces(
    "swapFile",
    lookupDirectory,
    (fs, node) => fs.create(node, name("file"), 0o644, 0o1000 | 2),
    ({ code: error }) => expect(HONEST).toContain(error),
  );
});

describe("somebody who knows what is looked at, and swaps each time there and back", () => {
  /** `d` is the link for the calls that are chosen, and the directory for all others. */
  function aimed(prepare: (fs: HostDirectory) => NodeId, isOutside: (call: SystemCall, root: string) => boolean) {
    const where = place();
    const fs = serve(where.root, { access: "writable", confinement: "paths" });
    const node = prepare(fs);
    let at: "there" | "back" = "back";
    hook.before = (call) => {
      const wanted = isOutside(call, where.root) ? "there" : "back";
      if (wanted !== at) where.swapDirectory[wanted]();
      at = wanted;
    };
    return { fs, node, where };
  }
  const below = ({ path }: SystemCall, root: string): boolean => path.startsWith(join(root, "d/"));

  test("is found out at LOOKUP and READDIR by when directories changed", () => {
    const looked = aimed(lookupDirectory, below);
    expect(code(() => looked.fs.lookup(looked.node, name("only-outside")))).toBe("ESTALE");
    expect(code(() => looked.fs.lookup(looked.node, name("file")))).toBe("ESTALE");
    hook.before = undefined;
    const listed = aimed(lookupDirectory, (call) => call.name === "readdirSync");
    const { handle } = listed.fs.opendir(listed.node);
    expect(code(() => listed.fs.readdir(listed.node, handle, 0, false, () => true))).toBe("ESTALE");
  });

  test("is found out at OPEN and SETATTR by inode, even where time stands still", () => {
    const { fs, node, where } = aimed(lookupFile, (call, root) => below(call, root) && call.name === "openSync");
    hook.time = "stands still";
    for (const flags of [0, 1, 2, 0o1001]) expect(code(() => fs.open(node, flags))).toBe("ESTALE");
    expect(code(() => fs.setattr(node, { mode: 0o777 }, undefined))).toBe("ESTALE");
    expect(code(() => fs.setattr(node, { size: 0 }, undefined))).toBe("ESTALE");
    hook.before = undefined;
    expect(readFileSync(join(where.outside, "file"), "utf8")).toBe("secret");
    expect(lstatSync(join(where.outside, "file")).mode & 0o777).toBe(0o600);
  });
});

test("a FIFO or a device that takes a file's place at the last moment makes no call wait", async () => {
  const { execFileSync } = await import("node:child_process");
  for (const flags of [0, 1, 2]) {
    const { root } = place();
    const fs = serve(root, { access: "writable", confinement: "paths" });
    const node = lookupFile(fs);
    for (let at = 0; at < 6; at++) {
      hook.count = 0;
      hook.before = ({ number }) => {
        if (number !== at) return;
        hook.before = undefined;
        renameSync(join(root, "d/file"), join(root, "away"));
        execFileSync("mkfifo", [join(root, "d/file")]);
      };
      const opened = code(() => fs.release(node, fs.open(node, flags).handle));
      hook.before = undefined;
      expect(["ESTALE", undefined]).toContain(opened);
      const { mode } = lstatSync(join(root, "d/file"));
      if ((mode & constants.S_IFMT) === constants.S_IFIFO) renameSync(join(root, "away"), join(root, "d/file"));
    }
  }
});
