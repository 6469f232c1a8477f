/** SETATTR on the host. Each change goes to the inode itself, through the descriptor that holds it. */
import {
  chmodSync,
  chownSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  lutimesSync,
  truncateSync,
  utimesSync,
} from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { AttributeChanges, Timestamp } from "@toril/virtio-fs/device";
import { inodePath } from "./linux-path.ts";
import type { HostNode, NodeTable } from "./node-table.ts";
import type { OpenFile } from "./open-handles.ts";

const PERMISSIONS = 0o7777;

export function changeAttributes(
  nodes: NodeTable,
  target: HostNode,
  changes: AttributeChanges,
  open: OpenFile | undefined,
): void {
  const path = inodePath(nodes.descriptor(target, "setattr"));
  if (changes.mode !== undefined) {
    if (target.type === "symlink") throw new SystemError(Errno.EOPNOTSUPP, "chmod", "of a symbolic link");
    chmodSync(path, changes.mode & PERMISSIONS);
  }
  if (changes.uid !== undefined || changes.gid !== undefined) changeOwner(nodes, target, changes);
  if (changes.size !== undefined) changeSize(path, target, changes.size, open);
  if (changes.atime !== undefined || changes.mtime !== undefined) changeTimes(nodes, target, changes);
}

function changeSize(path: string, target: HostNode, size: number, open: OpenFile | undefined): void {
  if (target.type === "directory") throw new SystemError(Errno.EISDIR, "truncate");
  // truncateSync opens the file, and a FIFO or a device must never be opened.
  if (target.type !== "file") throw new SystemError(Errno.EINVAL, "truncate");
  if (open === undefined) truncateSync(path, size);
  else ftruncateSync(open.descriptor, size);
}

function changeOwner(nodes: NodeTable, target: HostNode, changes: AttributeChanges): void {
  const stat = fstatSync(nodes.descriptor(target, "setattr"));
  const uid = changes.uid ?? stat.uid;
  const gid = changes.gid ?? stat.gid;
  if (target.type === "symlink") lchownSync(linkPath(nodes, target), uid, gid);
  else chownSync(inodePath(nodes.descriptor(target, "setattr")), uid, gid);
}

function changeTimes(nodes: NodeTable, target: HostNode, changes: AttributeChanges): void {
  const stat = fstatSync(nodes.descriptor(target, "setattr"), { bigint: true });
  const now = Date.now() / 1000;
  // Node takes both times, in seconds: the one that is left alone is written back, exact to a microsecond.
  const atime = seconds(changes.atime, Number(stat.atimeNs) / 1e9, now);
  const mtime = seconds(changes.mtime, Number(stat.mtimeNs) / 1e9, now);
  if (target.type === "symlink") lutimesSync(linkPath(nodes, target), atime, mtime);
  else utimesSync(inodePath(nodes.descriptor(target, "setattr")), atime, mtime);
}

/** A link's own path: following `/proc/self/fd/N` of a link ends at the link, where these calls do not work. */
function linkPath(nodes: NodeTable, target: HostNode): Buffer {
  const { place } = target;
  if (place === undefined || !nodes.isInPlace(target, "setattr")) throw new SystemError(Errno.ESTALE, "setattr");
  return nodes.path(place.directory, place.name, "setattr");
}

/** As text, because Node takes a negative number (before 1970) for "now". */
function seconds(time: Timestamp | "now" | undefined, unchanged: number, now: number): string {
  if (time === undefined) return String(unchanged);
  return String(time === "now" ? now : time.seconds + time.nanoseconds / 1e9);
}
