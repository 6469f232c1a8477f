import { SystemError } from "@toril/virtio/platform";
import { describe, expect, test } from "vitest";
import { fileSystemCompliance } from "../../testing/file-system-compliance.ts";
import { OpenFlag } from "../../wire/open.ts";
import { type FileHandle, ROOT_NODE } from "../file-system.ts";
import { CHUNK_SIZE } from "./file-data.ts";
import { MemoryFileSystem } from "./memory-file-system.ts";

const caller = { uid: 1000, gid: 100, pid: 1 };
const name = (text: string): Uint8Array => new TextEncoder().encode(text);
const code = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error instanceof SystemError ? error.code : error;
  }
  return undefined;
};

describe("compliance", () => {
  for (const { name: title, run } of fileSystemCompliance) test(title, () => run(new MemoryFileSystem()));
});

describe("limits", () => {
  test("ENOSPC for bytes; what fitted is kept, and space comes back", () => {
    const fs = new MemoryFileSystem({ maxBytes: 2 * CHUNK_SIZE });
    const made = fs.create(ROOT_NODE, name("a"), 0o644, OpenFlag.ReadWrite, caller);
    expect(fs.write(made.node, made.handle, 0, [new Uint8Array(3 * CHUNK_SIZE)])).toBe(2 * CHUNK_SIZE);
    expect(code(() => fs.write(made.node, made.handle, 2 * CHUNK_SIZE, [new Uint8Array(1)]))).toBe("ENOSPC");
    expect(fs.statfs().blocksFree).toBe(0);
    fs.unlink(ROOT_NODE, name("a"));
    fs.forget(made.node, 1);
    expect(fs.statfs().blocksFree).toBe(0); // still open
    fs.release(made.node, made.handle);
    expect(fs.statfs().blocksFree).toBe(32);
  });

  test("ENOSPC for inodes; the root is one of them", () => {
    const fs = new MemoryFileSystem({ maxInodes: 2 });
    fs.mkdir(ROOT_NODE, name("d"), 0o755, caller);
    expect(code(() => fs.mkdir(ROOT_NODE, name("e"), 0o755, caller))).toBe("ENOSPC");
    expect(fs.statfs().filesFree).toBe(0);
  });

  test("a file of petabytes is a hole: it takes no space and no time", () => {
    const fs = new MemoryFileSystem();
    const made = fs.create(ROOT_NODE, name("a"), 0o644, OpenFlag.ReadWrite, caller);
    fs.setattr(made.node, { size: 2 ** 52 });
    expect(fs.lseek(made.node, made.handle, 0, 4)).toBe(0);
    expect(code(() => fs.lseek(made.node, made.handle, 0, 3))).toBe("ENXIO");
    expect(code(() => fs.fallocate(made.node, made.handle, 0, 0, 2 ** 52))).toBe("ENOSPC");
    expect(fs.getattr(made.node).attributes).toMatchObject({ size: 2 ** 52, blocks: 0 });
  });
});

describe("holes", () => {
  test("SEEK_DATA and SEEK_HOLE find them; punching makes them", () => {
    const fs = new MemoryFileSystem();
    const made = fs.create(ROOT_NODE, name("a"), 0o644, OpenFlag.ReadWrite, caller);
    fs.write(made.node, made.handle, 2 * CHUNK_SIZE, [new Uint8Array(CHUNK_SIZE).fill(1)]);
    const seek = (offset: number, whence: number): number => fs.lseek(made.node, made.handle, offset, whence);
    expect([seek(0, 3), seek(0, 4), seek(2 * CHUNK_SIZE, 4)]).toEqual([2 * CHUNK_SIZE, 0, 3 * CHUNK_SIZE]);
    fs.fallocate(made.node, made.handle, 3, 0, 3 * CHUNK_SIZE);
    expect(fs.getattr(made.node).attributes).toMatchObject({ size: 3 * CHUNK_SIZE, blocks: 0 });
  });
});

test("mknod makes files, FIFOs and devices, but not directories", () => {
  const fs = new MemoryFileSystem();
  expect(fs.mknod(ROOT_NODE, name("p"), 0o010600, 0, caller).attributes.mode).toBe(0o010600);
  expect(fs.mknod(ROOT_NODE, name("c"), 0o020600, 0x0501, caller).attributes.rdev).toBe(0x0501);
  expect(fs.mknod(ROOT_NODE, name("f"), 0o600, 0, caller).attributes.mode).toBe(0o100600);
  expect(code(() => fs.mknod(ROOT_NODE, name("d"), 0o040755, 0, caller))).toBe("EPERM");
  const fifo = fs.lookup(ROOT_NODE, name("p")).node;
  expect(code(() => fs.open(fifo, OpenFlag.ReadOnly))).toBe("EINVAL");
});

test("a set-gid directory hands on its group", () => {
  const fs = new MemoryFileSystem();
  const made = fs.mkdir(ROOT_NODE, name("d"), 0o2755, { ...caller, gid: 7 });
  const child = fs.mkdir(made.node, name("e"), 0o755, caller);
  expect(child.attributes).toMatchObject({ gid: 7, uid: 1000, mode: 0o042755 });
});

test("files are put in and taken out from the host's side", () => {
  const fs = new MemoryFileSystem();
  fs.addFile("/site/index.html", "<p>hi");
  fs.addFile("site/index.html", "<p>hello");
  fs.addSymlink("site/link", "index.html");
  expect(new TextDecoder().decode(fs.readFile("site/index.html"))).toBe("<p>hello");
  expect(code(() => fs.addFile("site", "x"))).toBe("EISDIR");
  expect(code(() => fs.addFile("../x", "x"))).toBe("EINVAL");
  expect(code(() => fs.readFile("no"))).toBe("ENOENT");
});

test("a handle of another node is EBADF", () => {
  const fs = new MemoryFileSystem();
  const made = fs.create(ROOT_NODE, name("a"), 0o644, OpenFlag.ReadWrite, caller);
  expect(code(() => fs.read(ROOT_NODE, made.handle as FileHandle, 0, []))).toBe("EBADF");
});
