import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { Errno, SystemError } from "@toril/virtio/platform";
import { type NodeId, ROOT_NODE } from "@toril/virtio-fs/device";
import { fileSystemCompliance } from "@toril/virtio-fs/testing";
import { afterEach, describe, expect, test } from "vitest";
import { HostDirectory, type HostDirectoryOptions } from "./host-directory.ts";
import { HostDirectoryError } from "./host-directory-error.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "toril-host-"));
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function serve(path: string, options: Omit<HostDirectoryOptions, "path"> = {}): HostDirectory {
  const fs = new HostDirectory({ path, ...options });
  cleanUps.unshift(() => fs.close());
  return fs;
}

const name = (text: string): Uint8Array => new TextEncoder().encode(text);
const code = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
  return undefined;
};

function content(fs: HostDirectory, node: NodeId): string {
  const { handle } = fs.open(node, 0);
  const target = new Uint8Array(1000);
  const count = fs.read(node, handle, 0, [target]);
  fs.release(node, handle);
  if (typeof count !== "number") throw new Error("not at once");
  return new TextDecoder().decode(target.subarray(0, count));
}

describe("compliance, writable", () => {
  for (const { name: title, run } of fileSystemCompliance) {
    test(title, () => run(serve(directory(), { access: "writable" })));
  }
});

describe("compliance, READs in the thread pool, few descriptors", () => {
  const options = { access: "writable", poolReadBytes: 1000, maxPathDescriptors: 4 } as const;
  const needsDescriptor = /without names|READDIRPLUS|UNLINK: a file that is open|RESET: nodes/;
  for (const { name: title, run } of fileSystemCompliance) {
    if (!needsDescriptor.test(title)) test(title, () => run(serve(directory(), options)));
  }
});

describe("what cannot be served", () => {
  const failure = (path: string): HostDirectoryError => {
    try {
      serve(path);
    } catch (error) {
      if (error instanceof HostDirectoryError) return error;
    }
    throw new Error("it was served");
  };
  test("a directory that is not there", () => {
    expect(failure("/no/such/place")).toMatchObject({
      code: "ENOENT",
      message: 'cannot serve "/no/such/place": there is no such directory',
    });
  });
  test("a file", () => {
    const path = join(directory(), "file");
    writeFileSync(path, "x");
    expect(failure(path)).toMatchObject({ code: "ENOTDIR", message: `cannot serve "${path}": it is not a directory` });
  });
  test.skipIf(getuid?.() === 0)("a directory that this user may not read", () => {
    const path = directory();
    chmodSync(path, 0);
    expect(failure(path).code).toBe("EACCES");
  });
});

describe("read-only", () => {
  test("everything that would write is EROFS, and nothing is written", () => {
    const path = directory();
    writeFileSync(join(path, "a"), "x");
    const fs = serve(path);
    const { node } = fs.lookup(ROOT_NODE, name("a"));
    const { handle } = fs.open(node, 0);
    const calls = [
      () => fs.open(node, 1),
      () => fs.open(node, 2),
      () => fs.open(node, 0o1000),
      () => fs.create(ROOT_NODE, name("b"), 0o644, 1),
      () => fs.write(node, handle, 0, [name("y")]),
      () => fs.setattr(node, { size: 0 }, undefined),
      () => fs.setattr(node, { mode: 0 }, handle),
      () => fs.mkdir(ROOT_NODE, name("b"), 0o755),
      () => fs.mknod(ROOT_NODE, name("b"), 0o100644),
      () => fs.symlink(ROOT_NODE, name("b"), name("a")),
      () => fs.link(node, ROOT_NODE, name("b")),
      () => fs.unlink(ROOT_NODE, name("a")),
      () => fs.rmdir(ROOT_NODE, name("a")),
      () => fs.rename(ROOT_NODE, name("a"), ROOT_NODE, name("b"), 0),
    ];
    expect(calls.map(code)).toEqual(calls.map(() => "EROFS"));
    expect(readdirSync(path)).toEqual(["a"]);
    expect(content(fs, node)).toBe("x");
  });
});

describe("confinement", () => {
  function withSecret(): { fs: HostDirectory; root: string; outside: string } {
    const base = directory();
    const root = join(base, "root");
    const outside = join(base, "outside");
    mkdirSync(root);
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "secret");
    return { fs: serve(root, { access: "writable" }), root, outside };
  }

  test("names that are more than a name are EINVAL, whatever the server above let through", () => {
    const { fs } = withSecret();
    for (const bad of ["..", ".", "", "a/b", "/", "../outside/secret", "/etc/passwd", "a\0b"]) {
      expect(code(() => fs.lookup(ROOT_NODE, name(bad)))).toBe("EINVAL");
      expect(code(() => fs.create(ROOT_NODE, name(bad), 0o644, 2))).toBe("EINVAL");
      expect(code(() => fs.rename(ROOT_NODE, name("x"), ROOT_NODE, name(bad), 0))).toBe("EINVAL");
    }
  });

  test("absolute and climbing links are links, and lead nowhere", () => {
    const { fs, root, outside } = withSecret();
    symlinkSync(outside, join(root, "absolute"));
    symlinkSync("../outside", join(root, "climbing"));
    symlinkSync("../outside/secret", join(root, "file"));
    for (const link of ["absolute", "climbing"]) {
      const { node, attributes } = fs.lookup(ROOT_NODE, name(link));
      expect(attributes.mode & 0o170000).toBe(0o120000);
      expect(code(() => fs.lookup(node, name("secret")))).toBe("ENOTDIR");
      expect(code(() => fs.opendir(node))).toBe("ENOTDIR");
      expect(code(() => fs.create(node, name("new"), 0o644, 2))).toBe("ENOTDIR");
    }
    const { node } = fs.lookup(ROOT_NODE, name("file"));
    expect(code(() => fs.open(node, 0))).toBe("ELOOP");
    expect(code(() => fs.setattr(node, { mode: 0o777 }, undefined))).toBe("EOPNOTSUPP");
    expect(code(() => fs.setattr(node, { size: 0 }, undefined))).toBe("EINVAL");
    expect(code(() => fs.create(ROOT_NODE, name("file"), 0o644, 2))).toBe("ELOOP");
    expect(readdirSync(outside)).toEqual(["secret"]);
  });

  test("a directory that becomes a link to the outside behind our back stays what it was, or is ESTALE", () => {
    const { fs, root, outside } = withSecret();
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d", "inside"), "inside");
    const { node } = fs.lookup(ROOT_NODE, name("d"));
    renameSync(join(root, "d"), join(root, "moved"));
    symlinkSync(outside, join(root, "d"));
    expect(code(() => fs.lookup(node, name("secret")))).toBe("ENOENT");
    expect(content(fs, fs.lookup(node, name("inside")).node)).toBe("inside");
  });

  test("the same when its descriptor was closed meanwhile: ESTALE, never the link's target", () => {
    const { root, outside } = withSecret();
    const fs = serve(root, { maxPathDescriptors: 4 });
    for (const one of ["d", "1", "2", "3", "4", "5"]) mkdirSync(join(root, one));
    const { node } = fs.lookup(ROOT_NODE, name("d"));
    for (const one of ["1", "2", "3", "4", "5"]) fs.lookup(ROOT_NODE, name(one));
    renameSync(join(root, "d"), join(root, "moved"));
    symlinkSync(outside, join(root, "d"));
    expect(code(() => fs.lookup(node, name("secret")))).toBe("ESTALE");
    expect(code(() => fs.opendir(node) && fs.getattr(node, undefined))).toBe("ESTALE");
    // Another directory under the name is another inode.
    unlinkSync(join(root, "d"));
    mkdirSync(join(root, "d"));
    expect(code(() => fs.getattr(node, undefined))).toBe("ESTALE");
  });

  test("a race of directory against link never shows the outside", async () => {
    const { fs, root, outside } = withSecret();
    writeFileSync(join(outside, "inside"), "secret");
    mkdirSync(join(root, "real"));
    writeFileSync(join(root, "real", "inside"), "inside");
    symlinkSync(outside, join(root, "link"));
    // The swapper renames as fast as it can: d is the directory, the link, or nothing.
    const script = `
      const { renameSync } = require("node:fs");
      const end = Date.now() + 1500;
      process.stdout.write("go\\n");
      while (Date.now() < end) {
        renameSync("real", "d"); renameSync("d", "real");
        renameSync("link", "d"); renameSync("d", "link");
      }`;
    const { spawn } = await import("node:child_process");
    const child = spawn(process.execPath, ["-e", script], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    let [hits, misses, running] = [0, 0, true];
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve())).then(() => {
      running = false;
    });
    const seen = new Set<string>();
    while (running) {
      for (let i = 0; i < 500; i++) {
        try {
          const found = fs.lookup(ROOT_NODE, name("d"));
          const inside = fs.lookup(found.node, name("inside"));
          seen.add(content(fs, inside.node));
          hits++;
          fs.forget(inside.node, 1);
          fs.forget(found.node, 1);
        } catch {
          misses++;
        }
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await exited;
    expect([...seen]).toEqual(["inside"]);
    expect(hits).toBeGreaterThan(0);
    expect(misses).toBeGreaterThan(0);
  });

  test("FIFOs and devices are looked at, never opened: no call hangs", () => {
    const { fs, root } = withSecret();
    execFileSync("mkfifo", [join(root, "fifo")]);
    const { node, attributes } = fs.lookup(ROOT_NODE, name("fifo"));
    expect(attributes.mode & 0o170000).toBe(0o010000);
    expect(code(() => fs.open(node, 0))).toBe("EACCES");
    expect(code(() => fs.create(ROOT_NODE, name("fifo"), 0o644, 1))).toBe("EACCES");
    expect(code(() => fs.setattr(node, { size: 0 }, undefined))).toBe("EINVAL");
    expect(code(() => fs.mknod(ROOT_NODE, name("device"), 0o020600))).toBe("EPERM");
    const { handle } = fs.opendir(ROOT_NODE);
    const types: number[] = [];
    fs.readdir(ROOT_NODE, handle, 2, true, (item) => types.push(item.type) > 0);
    fs.readdir(ROOT_NODE, handle, 0, true, (item) => types.push(item.type) > 0);
    expect(types).toEqual([4, 4, 1]);
  });
});

describe("what happens on the host meanwhile", () => {
  test("a file that shrinks while it is open gives fewer bytes, never wrong ones", () => {
    const path = directory();
    writeFileSync(join(path, "a"), "x".repeat(100));
    const fs = serve(path);
    const { node } = fs.lookup(ROOT_NODE, name("a"));
    const { handle } = fs.open(node, 0);
    writeFileSync(join(path, "a"), "short");
    const targets = [new Uint8Array(3), new Uint8Array(50)];
    expect(fs.read(node, handle, 0, targets)).toBe(5);
    expect(fs.getattr(node, undefined).attributes.size).toBe(5);
  });

  test("a file that is replaced is another inode under the old name", () => {
    const path = directory();
    writeFileSync(join(path, "a"), "old");
    const fs = serve(path);
    const before = fs.lookup(ROOT_NODE, name("a"));
    writeFileSync(join(path, "b"), "new");
    renameSync(join(path, "b"), join(path, "a"));
    const after = fs.lookup(ROOT_NODE, name("a"));
    expect(after.node).not.toBe(before.node);
    expect([content(fs, before.node), content(fs, after.node)]).toEqual(["old", "new"]);
  });

  test("a node is found again after its directory was moved by the guest", () => {
    const path = directory();
    mkdirSync(join(path, "d/e"), { recursive: true });
    writeFileSync(join(path, "d/e/f"), "deep");
    for (let i = 0; i < 6; i++) writeFileSync(join(path, `${i}`), "");
    const fs = serve(path, { access: "writable", maxPathDescriptors: 4 });
    const d = fs.lookup(ROOT_NODE, name("d")).node;
    const e = fs.lookup(d, name("e")).node;
    const f = fs.lookup(e, name("f")).node;
    fs.rename(ROOT_NODE, name("d"), ROOT_NODE, name("moved"), 0);
    for (let i = 0; i < 6; i++) fs.lookup(ROOT_NODE, name(`${i}`));
    expect(content(fs, f)).toBe("deep");
  });
});

describe("bounds", () => {
  test("path descriptors stay within the limit, and every node still answers", () => {
    const path = directory();
    for (let i = 0; i < 100; i++) writeFileSync(join(path, `file-${i}`), `${i}`);
    const fs = serve(path, { maxPathDescriptors: 10 });
    const nodes = [...Array(100).keys()].map((i) => fs.lookup(ROOT_NODE, name(`file-${i}`)).node);
    expect(fs.usage).toEqual({ nodes: 101, pathDescriptors: 11, openHandles: 0 });
    expect(nodes.map((node) => content(fs, node))).toEqual([...Array(100).keys()].map(String));
    for (const node of nodes) fs.forget(node, 1);
    expect(fs.usage).toEqual({ nodes: 1, pathDescriptors: 1, openHandles: 0 });
  });

  test("a tree that is deeper than the descriptors can be walked back", () => {
    const path = directory();
    const deep = Array.from({ length: 60 }, () => "d").join("/");
    mkdirSync(join(path, deep), { recursive: true });
    const fs = serve(path, { maxPathDescriptors: 4 });
    let node: NodeId = ROOT_NODE;
    for (let i = 0; i < 60; i++) {
      const parent: NodeId = node;
      node = fs.lookup(parent, name("d")).node;
      if (parent !== ROOT_NODE) fs.forget(parent, 1); // kept, because a child was found in it
    }
    fs.readdir(ROOT_NODE, fs.opendir(ROOT_NODE).handle, 0, true, () => true);
    expect(fs.getattr(node, undefined).attributes.mode & 0o170000).toBe(0o040000);
    fs.forget(node, 1);
    expect(fs.usage.pathDescriptors).toBeLessThanOrEqual(5);
  });

  test("a rename between two deep directories that both have to be opened again", () => {
    const path = directory();
    for (const side of ["from", "to"])
      mkdirSync(join(path, side, ...Array.from({ length: 8 }, () => "d")), { recursive: true });
    writeFileSync(join(path, "from/d/d/d/d/d/d/d/d/file"), "x");
    const fs = serve(path, { access: "writable", maxPathDescriptors: 4 });
    const down = (side: string): NodeId => {
      let node = fs.lookup(ROOT_NODE, name(side)).node;
      for (let i = 0; i < 8; i++) node = fs.lookup(node, name("d")).node;
      return node;
    };
    const [from, to] = [down("from"), down("to")];
    for (let i = 0; i < 4; i++) fs.mkdir(ROOT_NODE, name(`other-${i}`), 0o755);
    fs.rename(from, name("file"), to, name("moved"), 0);
    expect(readdirSync(join(path, "to/d/d/d/d/d/d/d/d"))).toEqual(["moved"]);
  });

  test("open handles are limited: EMFILE, and room again after a release", () => {
    const path = directory();
    writeFileSync(join(path, "a"), "x");
    const fs = serve(path, { maxOpenHandles: 2 });
    const { node } = fs.lookup(ROOT_NODE, name("a"));
    const { handle } = fs.open(node, 0);
    fs.opendir(ROOT_NODE);
    expect(code(() => fs.open(node, 0))).toBe("EMFILE");
    expect(code(() => fs.opendir(ROOT_NODE))).toBe("EMFILE");
    fs.release(node, handle);
    expect(code(() => fs.open(node, 0))).toBeUndefined();
  });

  test("nothing stays open after a close", () => {
    const path = directory();
    for (let i = 0; i < 20; i++) writeFileSync(join(path, `${i}`), "x");
    const before = readdirSync("/proc/self/fd").length;
    const fs = new HostDirectory({ path });
    for (let i = 0; i < 20; i++) fs.open(fs.lookup(ROOT_NODE, name(`${i}`)).node, 0);
    fs.close();
    expect(readdirSync("/proc/self/fd").length).toBe(before);
    expect(code(() => fs.lookup(ROOT_NODE, name("1")))).toBe("ESTALE");
  });
});

describe("READ in the thread pool", () => {
  test("a handle that is released while it runs is closed afterwards, not before", async () => {
    const path = directory();
    writeFileSync(join(path, "a"), "x".repeat(100_000));
    const fs = serve(path, { poolReadBytes: 1 });
    const { node } = fs.lookup(ROOT_NODE, name("a"));
    const { handle } = fs.open(node, 0);
    const targets = [new Uint8Array(10), new Uint8Array(100_000)];
    const running = fs.read(node, handle, 0, targets);
    fs.release(node, handle);
    expect(await running).toBe(100_000);
    expect(targets[1]?.[99_989]).toBe(0x78);
    expect(targets[1]?.[99_990]).toBe(0);
  });
});

test("permissions are as the guest asked, whatever the umask of this process", () => {
  const before = process.umask(0o077);
  try {
    const fs = serve(directory(), { access: "writable" });
    const file = fs.create(ROOT_NODE, name("a"), 0o666, 2);
    expect(file.attributes.mode & 0o7777).toBe(0o666);
    expect(fs.mkdir(ROOT_NODE, name("d"), 0o777).attributes.mode & 0o7777).toBe(0o777);
  } finally {
    process.umask(before);
  }
});

test("an error of the host is told by its name", () => {
  const fs = serve(directory(), { access: "writable" });
  expect(code(() => fs.unlink(ROOT_NODE, name("no")))).toBe("ENOENT");
  expect(code(() => fs.getattr(77 as NodeId, undefined))).toBe("ESTALE");
  expect(() => fs.lookup(ROOT_NODE, name("no"))).toThrow(new SystemError(Errno.ENOENT, "lookup"));
});
