/**
 * How the inodes below a root are reached: the one thing that differs between systems. What a FileSystem has to keep
 * (nodes, lookups, handles, attributes) is above this and the same everywhere.
 *
 * - `descriptors` (Linux): an inode is held by a descriptor and reached through it. A race cannot lead out.
 * - `paths` (everywhere): an inode is reached by its path, which is looked at name by name before a call and again
 *   after it. A race between the two is found out afterwards.
 *
 * A Reach takes nothing above on trust: it checks names itself. Its errors are SystemErrors, or Node's with the errno's
 * name as their code; ESTALE means that an inode is not where it was found.
 */
import type { BigIntStats } from "node:fs";
import type { HostNode } from "./host-node.ts";

/** How a directory is kept from being left. */
export type Confinement = "descriptors" | "paths";

/** One change to an inode. Times are what Node's utimes takes. */
export type InodeChange =
  | { readonly what: "mode"; readonly mode: number }
  | { readonly what: "owner"; readonly uid: number; readonly gid: number }
  | { readonly what: "size"; readonly size: number }
  | { readonly what: "times"; readonly atime: string; readonly mtime: string };

export interface Reach {
  readonly confinement: Confinement;
  /** The root as it was found at the start. */
  readonly rootStat: BigIntStats;
  /** Descriptors that are open to hold inodes. */
  readonly openDescriptors: number;

  /** What is under a name, a link as a link; `undefined` for nothing. */
  glance(directory: HostNode, name: Uint8Array, call: string): BigIntStats | undefined;

  /**
   * Keeps an inode from going away, as far as this system can, and checks that its place leads to it.
   * @param open a descriptor of that very inode, when there is one
   */
  hold(node: HostNode, call: string, open?: number): void;
  letGo(node: HostNode): void;

  stat(node: HostNode, call: string): BigIntStats;

  /** A descriptor of this very file, which is a regular one. @param flags open(2) flags of this host, without O_CREAT */
  open(file: HostNode, flags: number, call: string): number;

  /** Looks at a directory by a path that is good within `look` only; `look` may be called again. */
  atDirectory<T>(directory: HostNode, call: string, look: (path: Buffer) => T): T;

  /** Uses a name by a path that is good within `use` only, and that no call may follow if it is a link. */
  atName<T>(directory: HostNode, name: Uint8Array, call: string, use: (path: Buffer) => T): T;

  /** The same for two names at once. */
  atNames<T>(
    from: HostNode,
    name: Uint8Array,
    to: HostNode,
    newName: Uint8Array,
    call: string,
    use: (path: Buffer, newPath: Buffer) => T,
  ): T;

  /** Changes a file, a directory or, where that needs no opening, something special; never a link. */
  change(node: HostNode, change: InodeChange, call: string): void;

  /** Nothing may be reached after this. */
  close(): void;
}
