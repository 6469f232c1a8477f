/**
 * What every FileSystem must do, as cases that any test runner can run:
 *
 *     for (const { name, run } of fileSystemCompliance) test(name, () => run(makeEmptyWritableFileSystem()));
 *
 * A case gets a fresh, empty, writable file system and throws when something is wrong.
 */
import type { FileHandle, FileSystem, NodeId } from "../device/file-system.ts";
import { ROOT_NODE } from "../device/file-system.ts";
import { RenameFlag } from "../wire/names.ts";
import { OpenFlag } from "../wire/open.ts";
import { CALLER, ComplianceError, expectEqual, expectError, FileSystemUser, nameOf } from "./file-system-user.ts";

export interface ComplianceCase {
  readonly name: string;
  run(fileSystem: FileSystem): Promise<void>;
}

function compliance(name: string, body: (user: FileSystemUser) => Promise<void>): ComplianceCase {
  return { name, run: (fileSystem) => body(new FileSystemUser(fileSystem)) };
}

const UNKNOWN_NODE = 9_007_199_254_740_991 as NodeId;
const UNKNOWN_HANDLE = 9_007_199_254_740_990 as FileHandle;
const DIRECTORY_BITS = 0o040000;
const REGULAR_BITS = 0o100000;
const SYMLINK_BITS = 0o120000;
const TYPE_MASK = 0o170000;

const looking: ComplianceCase[] = [
  compliance("LOOKUP: the root is node 1 and a directory", async (user) => {
    expectEqual((await user.attributes(ROOT_NODE)).mode & TYPE_MASK, DIRECTORY_BITS, "type of the root");
  }),
  compliance("LOOKUP: a name that is not there is ENOENT", (user) => expectError("ENOENT", () => user.lookup("no"))),
  compliance("LOOKUP: one inode has one node, however often it is looked up", async (user) => {
    const made = await user.file("a", "x");
    const [first, second] = [await user.lookup("a"), await user.lookup("a")];
    expectEqual([first.node, second.node], [made.node, made.node], "nodes");
  }),
  compliance("LOOKUP: in a file is ENOTDIR", async (user) => {
    const { node } = await user.file("a", "x");
    await expectError("ENOTDIR", () => user.lookup("b", node));
  }),
  compliance("LOOKUP: names are bytes, and need not be UTF-8", async (user) => {
    const name = Uint8Array.of(0xff, 0xfe, 0x20, 0x0a, 0xc3);
    const made = await user.need("mkdir")(ROOT_NODE, name, 0o755, CALLER);
    const found = await user.fs.lookup(ROOT_NODE, name, CALLER);
    expectEqual(found.node, made.node, "node");
    expectEqual([...((await user.items(ROOT_NODE, 9))[0]?.name ?? [])], [...name], "name in readdir");
  }),
  compliance("FORGET: an inode without names lives until its last lookup is given back", async (user) => {
    const { node } = await user.file("a", "x");
    await user.lookup("a");
    await user.need("unlink")(ROOT_NODE, nameOf("a"));
    user.fs.forget(node, 1);
    expectEqual((await user.attributes(node)).links, 0, "links");
    user.fs.forget(node, 1);
    await expectError("ESTALE", () => user.attributes(node));
  }),
  compliance("FORGET: a name can be looked up again", async (user) => {
    const { node } = await user.file("a", "x");
    user.fs.forget(node, 1);
    expectEqual(await user.content((await user.lookup("a")).node), "x", "content");
  }),
  compliance("FORGET: too many, or of a node that nobody knows, is harmless", async (user) => {
    const { node } = await user.file("a", "x");
    user.fs.forget(node, 1000);
    user.fs.forget(UNKNOWN_NODE, 1);
    user.fs.forget(ROOT_NODE, 1000);
    expectEqual(await user.names(), ["a"], "names");
  }),
  compliance("GETATTR, OPEN, READDIR of an unknown node are ESTALE; of an unknown handle EBADF", async (user) => {
    await expectError("ESTALE", () => user.attributes(UNKNOWN_NODE));
    await expectError("ESTALE", () => user.fs.open(UNKNOWN_NODE, 0, CALLER));
    await expectError("ESTALE", () => user.lookup("a", UNKNOWN_NODE));
    const { node } = await user.file("a", "x");
    await expectError("EBADF", () => user.fs.read(node, UNKNOWN_HANDLE, 0, [new Uint8Array(1)]));
    await expectError("EBADF", () => user.fs.readdir(ROOT_NODE, UNKNOWN_HANDLE, 0, false, () => true));
    await user.fs.release(node, UNKNOWN_HANDLE);
  }),
];

const data: ComplianceCase[] = [
  compliance("READ: targets are filled in order; fewer bytes at the end of the file, none behind it", async (user) => {
    const { node } = await user.file("a", "hello world");
    const { handle } = await user.fs.open(node, OpenFlag.ReadOnly, CALLER);
    expectEqual(await user.readHandle(node, handle, 0, 5), "hello", "the start");
    expectEqual(await user.readHandle(node, handle, 6, 100), "world", "the end");
    expectEqual(await user.readHandle(node, handle, 11, 10), "", "behind the end");
    expectEqual(await user.readHandle(node, handle, 2 ** 40, 10), "", "far behind the end");
    await user.fs.release(node, handle);
  }),
  compliance("WRITE: behind the end leaves zeros; the size follows", async (user) => {
    const made = await user.create("a");
    expectEqual(await user.write(made.node, made.handle, 5, "xyz"), 3, "count");
    expectEqual((await user.attributes(made.node)).size, 8, "size");
    expectEqual(await user.readHandle(made.node, made.handle, 0, 10), "\0\0\0\0\0xyz", "content");
  }),
  compliance("WRITE: a handle with O_APPEND writes at the end, whatever the offset", async (user) => {
    const { node } = await user.file("a", "one");
    const { handle } = await user.fs.open(node, OpenFlag.WriteOnly | OpenFlag.Append, CALLER);
    await user.write(node, handle, 0, "two");
    expectEqual(await user.content(node), "onetwo", "content");
  }),
  compliance("WRITE: a handle that is open for reading is EBADF, READ of one for writing too", async (user) => {
    const { node } = await user.file("a", "x");
    const reading = await user.fs.open(node, OpenFlag.ReadOnly, CALLER);
    await expectError("EBADF", () => user.write(node, reading.handle, 0, "y"));
    const writing = await user.fs.open(node, OpenFlag.WriteOnly, CALLER);
    await expectError("EBADF", () => user.readHandle(node, writing.handle, 0, 1));
  }),
  compliance("OPEN: O_TRUNC empties (ATOMIC_O_TRUNC); of a directory with writing EISDIR", async (user) => {
    const { node } = await user.file("a", "content");
    await user.fs.open(node, OpenFlag.ReadWrite | OpenFlag.Truncate, CALLER);
    expectEqual((await user.attributes(node)).size, 0, "size");
    const made = await user.mkdir("d");
    await expectError("EISDIR", () => user.fs.open(made.node, OpenFlag.ReadWrite, CALLER));
  }),
  compliance("RELEASE: handles are apart, and a released one is EBADF", async (user) => {
    const { node } = await user.file("a", "x");
    const first = await user.fs.open(node, OpenFlag.ReadOnly, CALLER);
    const second = await user.fs.open(node, OpenFlag.ReadOnly, CALLER);
    await user.fs.release(node, first.handle);
    await expectError("EBADF", () => user.readHandle(node, first.handle, 0, 1));
    expectEqual(await user.readHandle(node, second.handle, 0, 1), "x", "the other handle");
  }),
  compliance("UNLINK: a file that is open lives on until it is released", async (user) => {
    const { node, handle } = await user.create("a");
    await user.write(node, handle, 0, "still here");
    await user.need("unlink")(ROOT_NODE, nameOf("a"));
    expectEqual(await user.names(), [], "names");
    expectEqual(await user.readHandle(node, handle, 0, 20), "still here", "content");
    expectEqual((await user.attributes(node)).links, 0, "links");
    await user.fs.release(node, handle);
  }),
  compliance("CREATE: O_EXCL on a name that is there is EEXIST; without it the file is opened", async (user) => {
    const made = await user.file("a", "x");
    await expectError("EEXIST", () => user.create("a", ROOT_NODE, OpenFlag.ReadWrite | OpenFlag.Exclusive));
    const again = await user.create("a");
    expectEqual(again.node, made.node, "node");
    expectEqual(await user.readHandle(again.node, again.handle, 0, 5), "x", "content");
  }),
  compliance("FSYNC and FLUSH succeed where they exist", async (user) => {
    const { node, handle } = await user.create("a");
    await user.fs.flush?.(node, handle);
    await user.fs.fsync?.(node, handle, true);
    await user.fs.fsync?.(node, handle, false);
  }),
];

const attributes: ComplianceCase[] = [
  compliance("SETATTR: the size grows with zeros and shrinks", async (user) => {
    const { node } = await user.file("a", "hello");
    const setattr = user.need("setattr");
    const grown = await setattr(node, { size: 8 }, undefined, CALLER);
    expectEqual(grown.attributes.size, 8, "size");
    expectEqual(await user.content(node), "hello\0\0\0", "grown");
    await setattr(node, { size: 2 }, undefined, CALLER);
    await setattr(node, { size: 4 }, undefined, CALLER);
    expectEqual(await user.content(node), "he\0\0", "shrunk, then grown");
  }),
  compliance("SETATTR: permissions change, the type does not", async (user) => {
    const { node } = await user.file("a", "x");
    const changed = await user.need("setattr")(node, { mode: 0o100600 }, undefined, CALLER);
    expectEqual(changed.attributes.mode, REGULAR_BITS | 0o600, "mode");
  }),
  compliance("SETATTR: times are kept, also before 1970; one may be left alone", async (user) => {
    const { node } = await user.file("a", "x");
    const setattr = user.need("setattr");
    const time = { seconds: 1_000_000_000, nanoseconds: 250_000_000 };
    const early = { seconds: -2, nanoseconds: 500_000_000 };
    await setattr(node, { atime: time, mtime: time }, undefined, CALLER);
    const { attributes: after } = await setattr(node, { mtime: early }, undefined, CALLER);
    expectEqual([after.atime, after.mtime], [time, early], "atime and mtime");
    const now = await setattr(node, { mtime: "now" }, undefined, CALLER);
    if (now.attributes.mtime.seconds <= time.seconds) throw new ComplianceError("mtime was not set to now");
  }),
  compliance("STATFS: says how much there is", async (user) => {
    const statistics = await user.fs.statfs(ROOT_NODE);
    if (statistics.blocks <= 0 || statistics.blockSize <= 0) throw new ComplianceError("no blocks");
    if (statistics.blocksFree > statistics.blocks) throw new ComplianceError("more blocks are free than there are");
  }),
  compliance("MKDIR, RMDIR: link counts of the parent follow", async (user) => {
    const before = (await user.attributes(ROOT_NODE)).links;
    const made = await user.mkdir("d");
    expectEqual(made.attributes.mode & TYPE_MASK, DIRECTORY_BITS, "type");
    const during = (await user.attributes(ROOT_NODE)).links;
    await user.need("rmdir")(ROOT_NODE, nameOf("d"));
    const after = (await user.attributes(ROOT_NODE)).links;
    // Some file systems (btrfs) always say 1.
    if (before >= 2) expectEqual([during, after], [before + 1, before], "links");
  }),
];

const names: ComplianceCase[] = [
  compliance("READDIR: everything once, however small the pieces", async (user) => {
    const expected: string[] = [];
    for (let i = 0; i < 40; i++) {
      expected.push(`file-${i}`);
      await user.file(`file-${i}`, "");
    }
    expected.sort();
    for (const piece of [1, 7, 100]) expectEqual(await user.names(ROOT_NODE, piece), expected, `pieces of ${piece}`);
  }),
  compliance("READDIR: what stays is seen once while others come and go", async (user) => {
    for (let i = 0; i < 10; i++) await user.file(`stays-${i}`, "");
    await user.file("goes", "");
    const { handle } = await user.fs.opendir(ROOT_NODE, CALLER);
    const seen: string[] = [];
    let offset = 0;
    for (let round = 0; round < 100; round++) {
      const start = offset;
      await user.fs.readdir(ROOT_NODE, handle, offset, false, (item) => {
        if (offset !== start) return false;
        seen.push(String.fromCharCode(...item.name));
        offset = item.nextOffset;
        return true;
      });
      if (offset === start) break;
      if (round === 3) await user.need("unlink")(ROOT_NODE, nameOf("goes"));
      if (round < 5) await user.file(`comes-${round}`, "");
    }
    const stayed = seen.filter((name) => name.startsWith("stays-")).sort();
    expectEqual(
      stayed,
      [...Array(10).keys()].map((i) => `stays-${i}`),
      "names",
    );
    await user.fs.releasedir(ROOT_NODE, handle);
  }),
  compliance("READDIRPLUS: an item that is delivered counts a lookup, one that is refused does not", async (user) => {
    const { node } = await user.file("a", "x");
    await user.items(ROOT_NODE, 10, "plus");
    const { handle } = await user.fs.opendir(ROOT_NODE, CALLER);
    await user.fs.readdir(ROOT_NODE, handle, 0, true, () => false);
    await user.need("unlink")(ROOT_NODE, nameOf("a"));
    user.fs.forget(node, 1);
    expectEqual((await user.attributes(node)).size, 1, "after one of two forgets");
    user.fs.forget(node, 1);
    await expectError("ESTALE", () => user.attributes(node));
  }),
  compliance("RMDIR: ENOTEMPTY, ENOTDIR, ENOENT; UNLINK of a directory EISDIR or EPERM", async (user) => {
    const made = await user.mkdir("d");
    await user.file("f", "", made.node);
    const [rmdir, unlink] = [user.need("rmdir"), user.need("unlink")];
    await expectError("ENOTEMPTY", () => rmdir(ROOT_NODE, nameOf("d")));
    await expectError("ENOTDIR", () => rmdir(made.node, nameOf("f")));
    await expectError("ENOENT", () => rmdir(ROOT_NODE, nameOf("no")));
    await expectError(["EISDIR", "EPERM"], () => unlink(ROOT_NODE, nameOf("d")));
    await expectError("EEXIST", () => user.mkdir("d"));
  }),
  compliance("LINK: two names, one inode; a directory is EPERM", async (user) => {
    const { node } = await user.file("a", "x");
    const made = await user.mkdir("d");
    const linked = await user.need("link")(node, made.node, nameOf("b"));
    expectEqual([linked.node, linked.attributes.links], [node, 2], "node and links");
    await user.need("unlink")(ROOT_NODE, nameOf("a"));
    expectEqual(await user.content((await user.lookup("b", made.node)).node), "x", "content");
    await expectError("EPERM", () => user.need("link")(made.node, ROOT_NODE, nameOf("e")));
    await expectError("EEXIST", () => user.need("link")(node, made.node, nameOf("b")));
  }),
  compliance("SYMLINK: is served as a link, never followed", async (user) => {
    const target = nameOf("/etc/passwd");
    const made = await user.need("symlink")(ROOT_NODE, nameOf("s"), target, CALLER);
    expectEqual(made.attributes.mode & TYPE_MASK, SYMLINK_BITS, "type");
    const found = await user.lookup("s");
    expectEqual(found.attributes.mode & TYPE_MASK, SYMLINK_BITS, "type when looked up");
    expectEqual([...(await user.need("readlink")(found.node))], [...target], "target");
    await expectError("ELOOP", () => user.fs.open(found.node, OpenFlag.ReadOnly, CALLER));
    await expectError("ENOTDIR", () => user.lookup("x", found.node));
    await expectError("EINVAL", () => user.need("readlink")(ROOT_NODE));
  }),
];

const renames: ComplianceCase[] = [
  compliance("RENAME: a node keeps its identity, and what was there is replaced", async (user) => {
    const a = await user.file("a", "from a");
    await user.file("b", "from b");
    const made = await user.mkdir("d");
    const rename = user.need("rename");
    await rename(ROOT_NODE, nameOf("a"), ROOT_NODE, nameOf("b"), 0);
    expectEqual((await user.lookup("b")).node, a.node, "node");
    await rename(ROOT_NODE, nameOf("b"), made.node, nameOf("c"), 0);
    expectEqual(await user.content(a.node), "from a", "content by the old node");
    expectEqual([await user.names(), await user.names(made.node)], [["d"], ["c"]], "names");
  }),
  compliance("RENAME_NOREPLACE: EEXIST when the name is there", async (user) => {
    await user.file("a", "a");
    await user.file("b", "b");
    const rename = user.need("rename");
    const call = (): unknown => rename(ROOT_NODE, nameOf("a"), ROOT_NODE, nameOf("b"), RenameFlag.NoReplace);
    await expectError(["EEXIST", "EINVAL"], call);
    expectEqual(await user.names(), ["a", "b"], "names");
  }),
  compliance("RENAME_EXCHANGE: both are swapped, or it is refused as a whole (EINVAL)", async (user) => {
    await user.file("a", "from a");
    await user.file("b", "from b");
    try {
      await user.need("rename")(ROOT_NODE, nameOf("a"), ROOT_NODE, nameOf("b"), RenameFlag.Exchange);
    } catch (error) {
      expectEqual((error as { code?: unknown }).code, "EINVAL", "refusal");
      expectEqual(await user.content((await user.lookup("a")).node), "from a", "content of a");
      return;
    }
    expectEqual(await user.content((await user.lookup("a")).node), "from b", "content of a");
    expectEqual(await user.content((await user.lookup("b")).node), "from a", "content of b");
  }),
  compliance(
    "RENAME: a directory into itself is EINVAL, over a full one ENOTEMPTY, file over directory EISDIR",
    async (user) => {
      const outer = await user.mkdir("outer");
      const inner = await user.mkdir("inner", outer.node);
      await user.mkdir("other");
      await user.file("f", "");
      const rename = user.need("rename");
      await expectError("EINVAL", () => rename(ROOT_NODE, nameOf("outer"), inner.node, nameOf("x"), 0));
      await expectError(["ENOTEMPTY", "EEXIST"], () =>
        rename(ROOT_NODE, nameOf("other"), ROOT_NODE, nameOf("outer"), 0),
      );
      await expectError("EISDIR", () => rename(ROOT_NODE, nameOf("f"), ROOT_NODE, nameOf("outer"), 0));
      await expectError("ENOTDIR", () => rename(ROOT_NODE, nameOf("outer"), ROOT_NODE, nameOf("f"), 0));
      await expectError("ENOENT", () => rename(ROOT_NODE, nameOf("no"), ROOT_NODE, nameOf("x"), 0));
    },
  ),
];

const sessions: ComplianceCase[] = [
  compliance("RESET: nodes and handles are forgotten, files stay", async (user) => {
    await user.file("a", "kept");
    const { node, handle } = await user.create("b");
    await user.need("unlink")(ROOT_NODE, nameOf("b"));
    await user.fs.reset();
    await expectError("ESTALE", () => user.attributes(node));
    await expectError(["EBADF", "ESTALE"], () => user.readHandle(node, handle, 0, 1));
    expectEqual(await user.content((await user.lookup("a")).node), "kept", "content");
  }),
  compliance("RESET: a READ that still runs no longer touches its targets", async (user) => {
    const { node } = await user.file("a", "x".repeat(2_000_000));
    const { handle } = await user.fs.open(node, OpenFlag.ReadOnly, CALLER);
    const target = new Uint8Array(1_048_576);
    const running = user.fs.read(node, handle, 0, [target]);
    if (!(running instanceof Promise)) return; // done before anyone could reset
    const settled = running.catch(() => 0);
    await user.fs.reset();
    target.fill(0);
    await settled;
    if (target.some((byte) => byte !== 0)) throw new ComplianceError("bytes arrived after the reset");
  }),
];

/** All cases. */
export const fileSystemCompliance: readonly ComplianceCase[] = [
  ...looking,
  ...data,
  ...attributes,
  ...names,
  ...renames,
  ...sessions,
];
