/** SETATTR on the host. */
import { ftruncateSync, lchownSync, lutimesSync } from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { AttributeChanges, Timestamp } from "@toril/virtio-fs/device";
import type { HostNode } from "./host-node.ts";
import type { NodeTable } from "./node-table.ts";
import type { OpenFile } from "./open-handles.ts";

const PERMISSIONS = 0o7777;

export function changeAttributes(
  nodes: NodeTable,
  target: HostNode,
  changes: AttributeChanges,
  open: OpenFile | undefined,
): void {
  if (changes.mode !== undefined) {
    if (target.type === "symlink") throw new SystemError(Errno.EOPNOTSUPP, "chmod", "of a symbolic link");
    nodes.reach.change(target, { what: "mode", mode: changes.mode & PERMISSIONS }, "chmod");
  }
  if (changes.uid !== undefined || changes.gid !== undefined) changeOwner(nodes, target, changes);
  if (changes.size !== undefined) changeSize(nodes, target, changes.size, open);
  if (changes.atime !== undefined || changes.mtime !== undefined) changeTimes(nodes, target, changes);
}

function changeSize(nodes: NodeTable, target: HostNode, size: number, open: OpenFile | undefined): void {
  if (target.type === "directory") throw new SystemError(Errno.EISDIR, "truncate");
  // That would open it, and a FIFO or a device must never be opened.
  if (target.type !== "file") throw new SystemError(Errno.EINVAL, "truncate");
  if (open === undefined) nodes.reach.change(target, { what: "size", size }, "truncate");
  else ftruncateSync(open.descriptor, size);
}

function changeOwner(nodes: NodeTable, target: HostNode, changes: AttributeChanges): void {
  const stat = nodes.reach.stat(target, "chown");
  const uid = changes.uid ?? Number(stat.uid);
  const gid = changes.gid ?? Number(stat.gid);
  if (target.type === "symlink") nodes.atPlace(target, "chown", (path) => lchownSync(path, uid, gid));
  else nodes.reach.change(target, { what: "owner", uid, gid }, "chown");
}

function changeTimes(nodes: NodeTable, target: HostNode, changes: AttributeChanges): void {
  const stat = nodes.reach.stat(target, "utimes");
  const now = Date.now() / 1000;
  // Node takes both times, in seconds: the one that is left alone is written back, exact to a microsecond.
  const atime = seconds(changes.atime, Number(stat.atimeNs) / 1e9, now);
  const mtime = seconds(changes.mtime, Number(stat.mtimeNs) / 1e9, now);
  if (target.type === "symlink") nodes.atPlace(target, "utimes", (path) => lutimesSync(path, atime, mtime));
  else nodes.reach.change(target, { what: "times", atime, mtime }, "utimes");
}

/** As text, because Node takes a negative number (before 1970) for "now". */
function seconds(time: Timestamp | "now" | undefined, unchanged: number, now: number): string {
  if (time === undefined) return String(unchanged);
  return String(time === "now" ? now : time.seconds + time.nanoseconds / 1e9);
}
