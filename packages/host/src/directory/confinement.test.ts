import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT_NODE } from "@toril/virtio-fs/device";
import { describe, expect, test } from "vitest";
import { CONFINEMENTS, code, content, directory, name, serve } from "../testing/served-directory.ts";
import type { HostDirectory } from "./host-directory.ts";

describe.each(CONFINEMENTS)("confinement, %s", (confinement) => {
  function withSecret(): { fs: HostDirectory; root: string; outside: string } {
    const base = directory();
    const root = join(base, "root");
    const outside = join(base, "outside");
    mkdirSync(root);
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "secret");
    return { fs: serve(root, { access: "writable", confinement }), root, outside };
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
    if (confinement === "descriptors") {
      expect(code(() => fs.lookup(node, name("secret")))).toBe("ENOENT");
      expect(content(fs, fs.lookup(node, name("inside")).node)).toBe("inside");
    } else {
      for (const any of ["secret", "inside", "no"]) expect(code(() => fs.lookup(node, name(any)))).toBe("ESTALE");
      const { handle } = fs.opendir(node);
      expect(code(() => fs.readdir(node, handle, 0, false, () => true))).toBe("ESTALE");
      expect(code(() => fs.mkdir(node, name("new"), 0o755))).toBe("ESTALE");
      expect(code(() => fs.unlink(node, name("secret")))).toBe("ESTALE");
      expect(readdirSync(outside)).toEqual(["secret"]);
      const moved = fs.lookup(ROOT_NODE, name("moved")).node;
      expect(moved).toBe(node);
      expect(content(fs, fs.lookup(node, name("inside")).node)).toBe("inside");
    }
  });

  test("the same when its descriptor was closed meanwhile: ESTALE, never the link's target", () => {
    const { root, outside } = withSecret();
    const fs = serve(root, { confinement, maxPathDescriptors: 4 });
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
