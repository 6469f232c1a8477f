/** Making, moving and removing names on the host. The caller has checked that the directory is writable. */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import { inodePath, OPEN_INODE } from "./linux-path.ts";
import type { Found, HostNode, NodeTable } from "./node-table.ts";

const PERMISSIONS = 0o7777;
const RENAME_NOREPLACE = 1;

/** A new file, open with these flags; the descriptor is the caller's. @throws Error EEXIST when the name is there */
export function createFile(
  nodes: NodeTable,
  directory: HostNode,
  name: Uint8Array,
  mode: number,
  flags: number,
): Found & { descriptor: number } {
  const path = nodes.path(directory, name, "create");
  // O_EXCL: what is there already may be a FIFO or a link, and is not opened here.
  const creating = flags | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const descriptor = openSync(path, creating, mode & PERMISSIONS);
  try {
    // The client applied its umask; ours must not come on top.
    if ((fstatSync(descriptor).mode & PERMISSIONS) !== (mode & PERMISSIONS)) fchmodSync(descriptor, mode & PERMISSIONS);
    const found = nodes.adopt(openSync(inodePath(descriptor), OPEN_INODE), directory, name);
    return { ...found, descriptor };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

export function makeDirectory(nodes: NodeTable, directory: HostNode, name: Uint8Array, mode: number): Found {
  mkdirSync(nodes.path(directory, name, "mkdir"), mode & PERMISSIONS);
  const made = nodes.lookup(directory, name, "mkdir");
  const { found, stat } = made;
  if (found.type !== "directory" || (Number(stat.mode) & PERMISSIONS) === (mode & PERMISSIONS)) return made;
  const descriptor = nodes.descriptor(found, "mkdir");
  chmodSync(inodePath(descriptor), mode & PERMISSIONS);
  return { found, stat: fstatSync(descriptor, { bigint: true }) };
}

export function makeSymlink(nodes: NodeTable, directory: HostNode, name: Uint8Array, target: Uint8Array): Found {
  symlinkSync(Buffer.from(target), nodes.path(directory, name, "symlink"));
  return nodes.lookup(directory, name, "symlink");
}

/** Another name for an inode; through the name it has, because Node cannot link a descriptor. */
export function makeLink(nodes: NodeTable, target: HostNode, directory: HostNode, name: Uint8Array): Found {
  if (target.type === "directory") throw new SystemError(Errno.EPERM, "link", "a directory has one name");
  const { place } = target;
  if (place === undefined || !nodes.isInPlace(target, "link")) throw new SystemError(Errno.ESTALE, "link");
  const [from, to] = nodes.paths(place.directory, place.name, directory, name, "link");
  linkSync(from, to);
  const made = nodes.lookup(directory, name, "link");
  if (made.found === target) return made;
  // Somebody on the host put another file under the old name between the two calls.
  nodes.forget(made.found.node, 1);
  unlinkSync(nodes.path(directory, name, "link"));
  throw new SystemError(Errno.ESTALE, "link");
}

export function removeFile(nodes: NodeTable, directory: HostNode, name: Uint8Array): void {
  unlinkSync(nodes.path(directory, name, "unlink"));
}

export function removeDirectory(nodes: NodeTable, directory: HostNode, name: Uint8Array): void {
  rmdirSync(nodes.path(directory, name, "rmdir"));
}

/** @throws SystemError EINVAL for RENAME_EXCHANGE, which Node does not offer: what Linux answers where it cannot */
export function renameName(
  nodes: NodeTable,
  from: HostNode,
  name: Uint8Array,
  to: HostNode,
  newName: Uint8Array,
  flags: number,
): void {
  if ((flags & ~RENAME_NOREPLACE) !== 0) throw new SystemError(Errno.EINVAL, "rename", "RENAME_EXCHANGE");
  const [source, target] = nodes.paths(from, name, to, newName, "rename");
  if (flags === 0) renameSync(source, target);
  else renameWithoutReplacing(nodes, from, name, source, target);
  nodes.moved(to, newName);
}

/** In two steps, each of which fails when the name is there. */
function renameWithoutReplacing(
  nodes: NodeTable,
  from: HostNode,
  name: Uint8Array,
  source: Buffer,
  target: Buffer,
): void {
  const found = nodes.glance(from, name, "rename");
  if (found === undefined) throw new SystemError(Errno.ENOENT, "rename");
  nodes.forget(found.found.node, 1);
  if (found.found.type === "directory") {
    mkdirSync(target, 0o700);
    // Replaces the empty directory; somebody who filled it meanwhile makes this fail.
    try {
      renameSync(source, target);
    } catch (error) {
      removeQuietly(target);
      throw error;
    }
  } else {
    linkSync(source, target);
    unlinkSync(source);
  }
}

function removeQuietly(directory: Buffer): void {
  try {
    rmdirSync(directory);
  } catch {
    // It holds something by now: not ours to remove.
  }
}
