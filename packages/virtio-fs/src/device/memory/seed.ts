/** Fills and reads a memory file system from the host's side, by path. */
import { Errno, SystemError, textCodec } from "@toril/virtio/platform";
import { FileData, type Space } from "./file-data.ts";
import { type DirectoryInode, FileMode, isDirectory, isFile, type MemoryInode, nameKey } from "./inode.ts";
import type { Tree } from "./tree.ts";

const text = textCodec();
const ROOT_OWNER = { uid: 0, gid: 0 };

/** @throws SystemError EINVAL, ENOTDIR, EISDIR, ENOSPC */
export function addFileAt(tree: Tree, space: Space, path: string, content: string | Uint8Array, mode: number): void {
  const { directory, name } = place(tree, path);
  const existing = directory.content.names.get(nameKey(name));
  if (existing !== undefined && !isFile(existing)) throw new SystemError(Errno.EISDIR, "addFile", path);
  const made = { content: { kind: "file", data: new FileData(space) } as const, ...ROOT_OWNER };
  const inode = existing ?? tree.add(directory, name, { ...made, mode: FileMode.Regular | mode }, "addFile");
  if (!isFile(inode)) return;
  const bytes = typeof content === "string" ? text.encode(content) : content;
  inode.content.data.truncate(0);
  tree.modified(inode); // a guest that has the old content cached must be able to tell
  if (bytes.length === 0) return;
  const written = inode.content.data.write(0, [bytes]);
  if (written < bytes.length) throw new SystemError(Errno.ENOSPC, "addFile", `${path}: ${bytes.length} bytes`);
}

/** @throws SystemError EINVAL, ENOTDIR, EEXIST */
export function symlinkAt(tree: Tree, path: string, target: string): void {
  const { directory, name } = place(tree, path);
  const content = { kind: "symlink", target: text.encode(target) } as const;
  tree.add(directory, name, { content, mode: FileMode.Symlink | 0o777, ...ROOT_OWNER }, "addSymlink");
}

/** @throws SystemError ENOENT, ENOTDIR, EISDIR */
export function readFileAt(tree: Tree, path: string): Uint8Array {
  let inode: MemoryInode = tree.root;
  for (const name of names(path)) inode = tree.child(tree.directory(inode.node, "readFile"), name, "readFile");
  if (!isFile(inode)) throw new SystemError(Errno.EISDIR, "readFile", path);
  const bytes = new Uint8Array(inode.content.data.size);
  inode.content.data.read(0, [bytes]);
  return bytes;
}

/** The directory that a path's last name is in; directories on the way are made. */
function place(tree: Tree, path: string): { directory: DirectoryInode; name: Uint8Array } {
  const parts = names(path);
  const name = parts.pop();
  if (name === undefined) throw new SystemError(Errno.EINVAL, "addFile", `"${path}" names no file`);
  let directory = tree.root;
  for (const part of parts) {
    const existing = directory.content.names.get(nameKey(part));
    const content = { kind: "directory", names: new Map<string, MemoryInode>(), parent: directory } as const;
    const next =
      existing ?? tree.add(directory, part, { content, mode: FileMode.Directory | 0o755, ...ROOT_OWNER }, "mkdir");
    if (!isDirectory(next)) throw new SystemError(Errno.ENOTDIR, "addFile", path);
    directory = next;
  }
  return { directory, name };
}

function names(path: string): Uint8Array[] {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts.some((part) => part === "." || part === "..")) {
    throw new SystemError(Errno.EINVAL, "addFile", `"${path}": write the names out, without . and ..`);
  }
  return parts.map((part) => text.encode(part));
}
