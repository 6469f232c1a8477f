/** Making, moving and removing names on the host. The caller has checked that the directory is writable. */
import {
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
import { type HostNode, identityOf } from "./host-node.ts";
import type { Found, NodeTable } from "./node-table.ts";

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
  // O_EXCL: what is there already may be a FIFO or a link, and is neither opened nor followed here.
  const creating = flags | constants.O_CREAT | constants.O_EXCL;
  const permissions = mode & PERMISSIONS;
  let descriptor = -1;
  try {
    nodes.reach.atName(directory, name, "create", (path) => {
      descriptor = openSync(path, creating, permissions);
    });
    // The client applied its umask; ours must not come on top.
    if ((fstatSync(descriptor).mode & PERMISSIONS) !== permissions) fchmodSync(descriptor, permissions);
    const stat = fstatSync(descriptor, { bigint: true });
    return { ...nodes.adopt(stat, directory, name, "create", descriptor), descriptor };
  } catch (error) {
    if (descriptor !== -1) closeSync(descriptor);
    throw error;
  }
}

export function makeDirectory(nodes: NodeTable, directory: HostNode, name: Uint8Array, mode: number): Found {
  const permissions = mode & PERMISSIONS;
  nodes.reach.atName(directory, name, "mkdir", (path) => mkdirSync(path, permissions));
  const made = nodes.lookup(directory, name, "mkdir");
  const { found, stat } = made;
  if (found.type !== "directory" || (Number(stat.mode) & PERMISSIONS) === permissions) return made;
  nodes.reach.change(found, { what: "mode", mode: permissions }, "mkdir");
  return { found, stat: nodes.reach.stat(found, "mkdir") };
}

export function makeSymlink(nodes: NodeTable, directory: HostNode, name: Uint8Array, target: Uint8Array): Found {
  nodes.reach.atName(directory, name, "symlink", (path) => symlinkSync(Buffer.from(target), path));
  return nodes.lookup(directory, name, "symlink");
}

/** Another name for an inode; through the name it has, because Node cannot link a descriptor. */
export function makeLink(nodes: NodeTable, target: HostNode, directory: HostNode, name: Uint8Array): Found {
  if (target.type === "directory") throw new SystemError(Errno.EPERM, "link", "a directory has one name");
  linkExactly(nodes, target, ...nodes.place(target, "link"), directory, name, "link");
  return nodes.lookup(directory, name, "link");
}

export function removeFile(nodes: NodeTable, directory: HostNode, name: Uint8Array): void {
  nodes.reach.atName(directory, name, "unlink", unlinkSync);
}

export function removeDirectory(nodes: NodeTable, directory: HostNode, name: Uint8Array): void {
  nodes.reach.atName(directory, name, "rmdir", (path) => rmdirSync(path));
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
  if (flags === 0) nodes.reach.atNames(from, name, to, newName, "rename", renameSync);
  else renameWithoutReplacing(nodes, from, name, to, newName);
  nodes.moved(to, newName);
}

/** In two steps, each of which fails when the name is there. */
function renameWithoutReplacing(
  nodes: NodeTable,
  from: HostNode,
  name: Uint8Array,
  to: HostNode,
  newName: Uint8Array,
): void {
  const glanced = nodes.glance(from, name, "rename");
  if (glanced === undefined) throw new SystemError(Errno.ENOENT, "rename");
  const { found } = glanced;
  try {
    if (found.type === "directory") {
      nodes.reach.atNames(from, name, to, newName, "rename", renameOverNothing);
    } else {
      linkExactly(nodes, found, from, name, to, newName, "rename");
      nodes.reach.atName(from, name, "rename", unlinkSync);
    }
  } finally {
    nodes.forget(found.node, 1);
  }
}

/** Replaces an empty directory of its own; somebody who filled it meanwhile makes this fail. */
function renameOverNothing(source: Buffer, target: Buffer): void {
  mkdirSync(target, 0o700);
  try {
    renameSync(source, target);
  } catch (error) {
    removeQuietly(target);
    throw error;
  }
}

/**
 * A second name for what is under the first.
 * @throws SystemError EPERM for a symbolic link where link(2) would follow it; ESTALE when somebody on the host put
 * something else under the first name meanwhile
 */
function linkExactly(
  nodes: NodeTable,
  target: HostNode,
  from: HostNode,
  name: Uint8Array,
  to: HostNode,
  newName: Uint8Array,
  call: string,
): void {
  const { reach } = nodes;
  // POSIX leaves it open whether link(2) follows a link. Linux does not; macOS does, and it could lead anywhere.
  if (target.type === "symlink" && reach.confinement !== "descriptors") {
    throw new SystemError(Errno.EPERM, call, "this system may follow the link");
  }
  reach.atNames(from, name, to, newName, call, linkSync);
  const made = reach.glance(to, newName, call);
  if (made !== undefined && identityOf(made) === target.identity) return;
  reach.atName(to, newName, call, unlinkSync);
  throw new SystemError(Errno.ESTALE, call, "it was replaced on the host meanwhile");
}

function removeQuietly(directory: Buffer): void {
  try {
    rmdirSync(directory);
  } catch {
    // It holds something by now: not ours to remove.
  }
}
