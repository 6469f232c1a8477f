/** An inode that the guest knows, and where it was found. */
import type { BigIntStats } from "node:fs";
import { platform } from "node:process";
import type { NodeId } from "@toril/virtio-fs/device";
import { type InodeType, typeOf } from "./host-attributes.ts";

export interface HostNode {
  readonly node: NodeId;
  /** Device, inode number and type: a number may be used again for something else while nothing holds the inode. */
  readonly identity: string;
  readonly type: InodeType;
  /** Where it was found last; undefined for the root. The directory is kept while something refers to it. */
  place: Place | undefined;
  lookups: number;
  /** Open handles, and nodes that were found in it. */
  users: number;
}

interface Place {
  readonly directory: HostNode;
  readonly name: Uint8Array;
}

/**
 * Windows has no device here: libuv 1.49 and 1.50 (Node 22.12 to 22.16, 24.0 and 24.1) say another one for a path than
 * for a descriptor of the same file (libuv pull request 4698).
 */
export function identityOf(stat: BigIntStats): string {
  return `${platform === "win32" ? "" : stat.dev}:${stat.ino}:${typeOf(stat)}`;
}
