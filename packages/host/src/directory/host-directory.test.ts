import { chmodSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getuid, platform } from "node:process";
import { Errno, SystemError } from "@toril/virtio/platform";
import { type NodeId, ROOT_NODE } from "@toril/virtio-fs/device";
import { describe, expect, test } from "vitest";
import { CONFINEMENTS, code, content, directory, name, serve } from "../testing/served-directory.ts";
import { HostDirectory } from "./host-directory.ts";
import { HostDirectoryError } from "./host-directory-error.ts";
import { bestConfinement } from "./root.ts";

describe("which confinement", () => {
  test("the best that this system has, unless told; it can be read", () => {
    expect(serve(directory()).confinement).toBe(bestConfinement());
    for (const confinement of CONFINEMENTS) expect(serve(directory(), { confinement }).confinement).toBe(confinement);
  });
  test.skipIf(bestConfinement() === "descriptors")("descriptors where they are not to be had: ERR_PLATFORM", () => {
    expect(code(() => serve(directory(), { confinement: "descriptors" }))).toBe("ERR_PLATFORM");
  });
  test("paths are told to the log, once, with what they do not guarantee; descriptors are not", () => {
    const said: unknown[] = [];
    const not = (): void => {};
    const log = { debug: not, info: not, error: not, warn: (...line: unknown[]): void => void said.push(line) };
    const path = directory();
    for (const confinement of CONFINEMENTS) serve(path, { confinement, log });
    expect(said).toEqual([[expect.stringContaining("found out afterwards, not prevented"), { directory: path }]]);
  });
});

describe.each(CONFINEMENTS)("%s", (confinement) => {
  describe("what cannot be served", () => {
    const failure = (path: string): HostDirectoryError => {
      try {
        serve(path, { confinement });
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
      expect(failure(path)).toMatchObject({
        code: "ENOTDIR",
        message: `cannot serve "${path}": it is not a directory`,
      });
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
      const fs = serve(path, { confinement });
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

  describe("what happens on the host meanwhile", () => {
    test("a file that shrinks while it is open gives fewer bytes, never wrong ones", () => {
      const path = directory();
      writeFileSync(join(path, "a"), "x".repeat(100));
      const fs = serve(path, { confinement });
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
      const fs = serve(path, { confinement });
      const before = fs.lookup(ROOT_NODE, name("a"));
      const { handle } = fs.open(before.node, 0);
      writeFileSync(join(path, "b"), "new");
      renameSync(join(path, "b"), join(path, "a"));
      const after = fs.lookup(ROOT_NODE, name("a"));
      expect(after.node).not.toBe(before.node);
      expect(content(fs, after.node)).toBe("new");
      const target = new Uint8Array(10);
      expect(fs.read(before.node, handle, 0, [target])).toBe(3);
      expect(new TextDecoder().decode(target.subarray(0, 3))).toBe("old");
      fs.release(before.node, handle);
      if (confinement === "descriptors") expect(content(fs, before.node)).toBe("old");
      else expect(code(() => fs.open(before.node, 0))).toBe("ESTALE");
    });

    test("a node is found again after its directory was moved by the guest", () => {
      const path = directory();
      mkdirSync(join(path, "d/e"), { recursive: true });
      writeFileSync(join(path, "d/e/f"), "deep");
      for (let i = 0; i < 6; i++) writeFileSync(join(path, `${i}`), "");
      const fs = serve(path, { confinement, access: "writable", maxPathDescriptors: 4 });
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
      const fs = serve(path, { confinement, maxPathDescriptors: 10 });
      const nodes = [...Array(100).keys()].map((i) => fs.lookup(ROOT_NODE, name(`file-${i}`)).node);
      const descriptors = (count: number): number => (confinement === "descriptors" ? count : 0);
      expect(fs.usage).toEqual({ nodes: 101, pathDescriptors: descriptors(11), openHandles: 0 });
      expect(nodes.map((node) => content(fs, node))).toEqual([...Array(100).keys()].map(String));
      for (const node of nodes) fs.forget(node, 1);
      expect(fs.usage).toEqual({ nodes: 1, pathDescriptors: descriptors(1), openHandles: 0 });
    });

    test("a tree that is deeper than the descriptors can be walked back", () => {
      const path = directory();
      const deep = Array.from({ length: 60 }, () => "d").join("/");
      mkdirSync(join(path, deep), { recursive: true });
      const fs = serve(path, { confinement, maxPathDescriptors: 4 });
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
      const fs = serve(path, { confinement, access: "writable", maxPathDescriptors: 4 });
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

    test("a name that is too long is ENAMETOOLONG, as on Linux: absent, not wrong", () => {
      const fs = serve(directory(), { confinement });
      expect(code(() => fs.lookup(ROOT_NODE, name("x".repeat(255))))).toBe("ENOENT");
      expect(code(() => fs.lookup(ROOT_NODE, name("x".repeat(256))))).toBe("ENAMETOOLONG");
    });

    test("open handles are limited: EMFILE, and room again after a release", () => {
      const path = directory();
      writeFileSync(join(path, "a"), "x");
      const fs = serve(path, { confinement, maxOpenHandles: 2 });
      const { node } = fs.lookup(ROOT_NODE, name("a"));
      const { handle } = fs.open(node, 0);
      fs.opendir(ROOT_NODE);
      expect(code(() => fs.open(node, 0))).toBe("EMFILE");
      expect(code(() => fs.opendir(ROOT_NODE))).toBe("EMFILE");
      fs.release(node, handle);
      expect(code(() => fs.open(node, 0))).toBeUndefined();
    });

    test.skipIf(platform !== "linux")("nothing stays open after a close", () => {
      const path = directory();
      for (let i = 0; i < 20; i++) writeFileSync(join(path, `${i}`), "x");
      const before = readdirSync("/proc/self/fd").length;
      const fs = new HostDirectory({ path, confinement });
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
      const fs = serve(path, { confinement, poolReadBytes: 1 });
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
      const fs = serve(directory(), { confinement, access: "writable" });
      const file = fs.create(ROOT_NODE, name("a"), 0o666, 2);
      expect(file.attributes.mode & 0o7777).toBe(0o666);
      expect(fs.mkdir(ROOT_NODE, name("d"), 0o777).attributes.mode & 0o7777).toBe(0o777);
    } finally {
      process.umask(before);
    }
  });

  test("an error of the host is told by its name", () => {
    const fs = serve(directory(), { confinement, access: "writable" });
    expect(code(() => fs.unlink(ROOT_NODE, name("no")))).toBe("ENOENT");
    expect(code(() => fs.getattr(77 as NodeId, undefined))).toBe("ESTALE");
    expect(() => fs.lookup(ROOT_NODE, name("no"))).toThrow(new SystemError(Errno.ENOENT, "lookup"));
  });
});
