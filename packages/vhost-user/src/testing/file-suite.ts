/**
 * What a mounted directory must do, whoever serves it: the same cases run over our device and over other people's
 * daemons, with the host's own view of the directory as the judge.
 */
import { createHash } from "node:crypto";
import * as host from "node:fs";
import { join } from "node:path";
import type { FileCalls, FileDriver } from "@toril/virtio-fs";
import { expect, vi } from "vitest";

export interface Mounted {
  readonly driver: FileDriver;
  readonly calls: FileCalls;
  /** The directory on the host. Each case has a folder of its own in it. */
  readonly root: string;
}

export interface FileCase {
  readonly name: string;
  /** @param folder of this case, as both the guest (`/folder`) and the host (`root/folder`) have it */
  run(mounted: Mounted, folder: string): Promise<void>;
}

const MIB = 2 ** 20;

/** Bytes that show a shift or a mix-up. */
export function pattern(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0, state = seed >>> 0; i < words.length; i++) words[i] = state = (Math.imul(state, 1_664_525) + i) >>> 0;
  return new Uint8Array(words.buffer, 0, length);
}

async function contentOf(calls: FileCalls, path: string): Promise<Buffer> {
  const file = await calls.open(path);
  const parts: Buffer[] = [];
  for (;;) {
    const part = Buffer.alloc(300_000);
    const count = await calls.read(file, part);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
  }
  await calls.close(file);
  return Buffer.concat(parts);
}

async function writeFile(calls: FileCalls, path: string, bytes: Uint8Array): Promise<void> {
  const file = await calls.open(path, { mode: "w" });
  try {
    for (let done = 0; done < bytes.length; ) done += await calls.write(file, bytes.subarray(done));
  } finally {
    await calls.close(file);
  }
}

const fails = async (code: string, call: Promise<unknown>): Promise<void> => {
  await expect(call).rejects.toMatchObject({ code });
};

export const fileSuite: readonly FileCase[] = [
  {
    name: "READ: files of all sizes come back byte for byte",
    run: async ({ calls, root }, folder) => {
      const sizes = [0, 1, 4095, 4096, 4097, 131_072, 1_048_577, 3_000_001];
      for (const size of sizes) host.writeFileSync(join(root, folder, `f${size}`), pattern(size, size + 1));
      for (const size of sizes) {
        expect((await contentOf(calls, `/${folder}/f${size}`)).equals(pattern(size, size + 1))).toBe(true);
      }
    },
  },
  {
    name: "CREATE, WRITE, FSYNC, SETATTR, RENAME, LINK, SYMLINK, UNLINK, RMDIR: the host sees each of them",
    run: async ({ calls, root }, folder) => {
      const at = join(root, folder);
      const bytes = pattern(2_000_000);
      await calls.mkdir(`/${folder}/d`);
      const file = await calls.open(`/${folder}/d/new`, { mode: "w" });
      expect(await calls.write(file, bytes)).toBe(bytes.length);
      await calls.fsync(file);
      await calls.close(file);
      await calls.rename(`/${folder}/d/new`, `/${folder}/moved`);
      await calls.symlink("moved", `/${folder}/link`);
      await calls.link(`/${folder}/moved`, `/${folder}/second`);
      await calls.chmod(`/${folder}/moved`, 0o640);
      await calls.truncate(`/${folder}/moved`, 1_000_000);
      await calls.utimes(`/${folder}/moved`, 1_000, 2_000);
      expect(host.readdirSync(at).sort()).toEqual(["d", "link", "moved", "second"]);
      expect(host.readFileSync(join(at, "second")).equals(bytes.subarray(0, 1_000_000))).toBe(true);
      const stat = host.statSync(join(at, "moved"));
      expect([stat.mode & 0o777, stat.nlink, stat.mtimeMs]).toEqual([0o640, 2, 2_000]);
      expect(Buffer.from(await calls.readlink(`/${folder}/link`)).toString()).toBe("moved");
      await calls.rmdir(`/${folder}/d`);
      for (const name of ["link", "second", "moved"]) await calls.unlink(`/${folder}/${name}`);
      expect(host.readdirSync(at)).toEqual([]);
    },
  },
  {
    name: "GETATTR, STATFS: sizes, times, types and modes are the host's",
    run: async ({ calls, root }, folder) => {
      const path = join(root, folder, "file");
      host.writeFileSync(path, pattern(5_000), { mode: 0o604 });
      host.symlinkSync("file", join(root, folder, "link"));
      const expected = host.statSync(path);
      const stat = await calls.stat(`/${folder}/link`);
      expect(stat).toMatchObject({ type: "file", size: 5_000, links: 1 });
      expect(stat.mode & 0o777).toBe(expected.mode & 0o777);
      expect(await calls.lstat(`/${folder}/link`)).toMatchObject({ type: "symlink" });
      expect(await calls.stat(`/${folder}`)).toMatchObject({ type: "directory" });
      const { blocks } = await calls.statfs(`/${folder}`);
      expect(blocks).toBe(host.statfsSync(root).blocks);
    },
  },
  {
    name: "READDIR, READDIRPLUS: ten thousand files, each once, in both ways",
    run: async ({ calls, root }, folder) => {
      for (let i = 0; i < 10_000; i++) host.closeSync(host.openSync(join(root, folder, `n ${i} \u00fc`), "w"));
      const plain = await calls.readdir(`/${folder}`);
      const plus = await calls.readdir(`/${folder}`, { plus: true });
      expect(new Set(plain.map(({ name }) => name)).size).toBe(10_000);
      expect(new Set(plus.map(({ name }) => name)).size).toBe(10_000);
      expect(plus.every(({ type }) => type === "file")).toBe(true);
    },
  },
  {
    name: "a file of 1 GiB: read at both ends and in the middle, and extended",
    run: async ({ calls, root }, folder) => {
      const path = join(root, folder, "big");
      const marks = [0, 2 ** 29 - 5, 2 ** 30 - MIB];
      const fd = host.openSync(path, "w");
      host.ftruncateSync(fd, 2 ** 30);
      for (const mark of marks) host.writeSync(fd, pattern(MIB, mark + 1), 0, MIB, mark);
      host.closeSync(fd);
      const file = await calls.open(`/${folder}/big`, { mode: "r+" });
      for (const mark of marks) {
        const bytes = new Uint8Array(MIB);
        expect(await calls.pread(file, bytes, mark)).toBe(MIB);
        expect(Buffer.compare(bytes, pattern(MIB, mark + 1))).toBe(0);
      }
      expect(await calls.pwrite(file, pattern(4096, 9), 2 ** 30 + 12_345)).toBe(4096);
      await calls.close(file);
      expect(host.statSync(path).size).toBe(2 ** 30 + 12_345 + 4096);
      expect((await calls.stat(`/${folder}/big`)).size).toBe(2 ** 30 + 12_345 + 4096);
    },
  },
  {
    name: "odd names: spaces, newlines, no UTF-8, 255 bytes; 256 are ENAMETOOLONG",
    run: async ({ calls, root }, folder) => {
      const names = [
        Buffer.from(" a\nb\t"),
        Buffer.of(0xff, 0x0a, 0x80),
        Buffer.alloc(255, 0x78),
        Buffer.from("\u00fc\u{1f402}"),
      ];
      const path = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`/${folder}/`), name]);
      for (const name of names) {
        const file = await calls.open(path(name), { mode: "w" });
        await calls.write(file, name);
        await calls.close(file);
        expect(host.readFileSync(Buffer.concat([Buffer.from(root), path(name)])).equals(name)).toBe(true);
        expect((await calls.stat(path(name))).size).toBe(name.length);
      }
      await fails("ENAMETOOLONG", calls.stat(path(Buffer.alloc(256, 0x78))));
    },
  },
  {
    name: "errors: ENOENT, EEXIST, ENOTEMPTY, ENOTDIR, EISDIR, ELOOP",
    run: async ({ calls, root }, folder) => {
      host.mkdirSync(join(root, folder, "d/e"), { recursive: true });
      host.writeFileSync(join(root, folder, "f"), "x");
      host.symlinkSync("loop", join(root, folder, "loop"));
      await fails("ENOENT", calls.stat(`/${folder}/missing`));
      await fails("ENOENT", calls.open(`/${folder}/missing/x`));
      await fails("EEXIST", calls.mkdir(`/${folder}/d`));
      await fails("EEXIST", calls.open(`/${folder}/f`, { mode: "wx" }));
      await fails("ENOTEMPTY", calls.rmdir(`/${folder}/d`));
      await fails("ENOTDIR", calls.stat(`/${folder}/f/x`));
      await fails("ENOTDIR", calls.rmdir(`/${folder}/f`));
      await fails("EISDIR", calls.unlink(`/${folder}/d`));
      await fails("ELOOP", calls.open(`/${folder}/loop`));
    },
  },
  {
    name: "many readers and writers at once: every byte is where it belongs",
    run: async ({ driver, root }, folder) => {
      const size = 600_000;
      const writers = Array.from({ length: 12 }, async (_, i) => {
        const calls = driver.callsFor();
        await writeFile(calls, `/${folder}/w${i}`, pattern(size, i + 1));
        const hash = createHash("sha256").update(await contentOf(calls, `/${folder}/w${i}`));
        expect(hash.digest("hex")).toBe(
          createHash("sha256")
            .update(pattern(size, i + 1))
            .digest("hex"),
        );
      });
      host.writeFileSync(join(root, folder, "shared"), pattern(size, 99));
      const readers = Array.from({ length: 12 }, async () => {
        expect(Buffer.compare(await contentOf(driver.callsFor(), `/${folder}/shared`), pattern(size, 99))).toBe(0);
      });
      await Promise.all([...writers, ...readers]);
      for (let i = 0; i < 12; i++) {
        expect(Buffer.compare(host.readFileSync(join(root, folder, `w${i}`)), pattern(size, i + 1))).toBe(0);
      }
      expect(driver.failure).toBeUndefined();
    },
  },
];

/** ENOSPC; `full` is a small file system that is mounted inside of the root, as the host and the guest name it. */
export async function fillsUp({ calls }: Mounted, full: string): Promise<void> {
  await fails("ENOSPC", writeFile(calls, `/${full}/big`, pattern(4 * MIB)));
  await calls.unlink(`/${full}/big`);
  // The room comes back when the server has forgotten the file, which it does when it gets to it: FORGET has no answer.
  await vi.waitFor(() => writeFile(calls, `/${full}/small`, pattern(1000)), 30_000);
}
