/** Calls that make, remove and move names. After each of them the cache holds nothing that it contradicts. */
import { Errno } from "@toril/virtio/platform";
import type { FilePath } from "../file-calls.ts";
import { Opcode, RenameFlag } from "../wire/index.ts";
import { type ByteString, byteString, putBytes } from "./byte-string.ts";
import type { Cancellation } from "./cancellation.ts";
import type { GuestBuffers } from "./guest-buffers.ts";
import type { Node } from "./nodes.ts";
import type { Operations } from "./operations.ts";
import { PATH_LIMIT } from "./paths.ts";
import type { EntryReply } from "./replies.ts";
import type { Resolver } from "./resolver.ts";
import type { Tree } from "./tree.ts";
import type { Walk } from "./walk.ts";

type Cancel = Cancellation | undefined;

const DIRECTORY = 0o040000;
const PERMISSIONS = 0o7777;

export interface NameChangesOptions {
  readonly operations: Operations;
  readonly tree: Tree;
  readonly resolver: Resolver;
  readonly buffers: GuestBuffers;
}

export class NameChanges {
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #resolver: Resolver;
  readonly #buffers: GuestBuffers;

  constructor(options: NameChangesOptions) {
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#resolver = options.resolver;
    this.#buffers = options.buffers;
  }

  mkdir(path: FilePath, permissions: number, cancel: Cancel): Promise<number> {
    const mode = DIRECTORY | (permissions & PERMISSIONS);
    return this.#make(path, "directory", cancel, (parent, name) =>
      this.#operations.mkdir(parent.id, name, mode, cancel),
    );
  }

  async symlink(target: string | Uint8Array, path: FilePath, cancel: Cancel): Promise<number> {
    const bytes = byteString(target);
    if (bytes.length === 0) return -Errno.ENOENT;
    if (bytes.length > PATH_LIMIT) return -Errno.ENAMETOOLONG;
    if (bytes.includes("\0")) return -Errno.EINVAL;
    const buffer = await this.#buffers.take(bytes.length + 1, cancel);
    if (typeof buffer === "number") return buffer;
    buffer.writable[putBytes(bytes, buffer.writable, 0)] = 0;
    buffer.lendToRead();
    const segment = { address: buffer.address, length: bytes.length + 1 };
    const result = await this.#make(path, "other", cancel, (parent, name) =>
      this.#operations.symlink(parent.id, name, segment, cancel),
    );
    if (this.#buffers.reclaim(buffer)) this.#buffers.put(buffer);
    return result;
  }

  /** Like link(2): a symbolic link is linked itself, not what it points at. */
  link(existing: FilePath, path: FilePath, cancel: Cancel): Promise<number> {
    return this.#resolver.at(existing, "link", cancel, async ({ node }) => {
      this.#tree.attributesChanging(node);
      const result = await this.#make(path, "other", cancel, async (parent, name) => {
        if (!node.isDirectory) return this.#operations.link(node.id, parent.id, name, cancel);
        // link(2): directories have one name only; but that the new name is taken comes first.
        const taken = await this.#isDirectory(parent, name, cancel);
        if (taken >= 0) return -Errno.EEXIST;
        return taken === -Errno.ENOENT ? -Errno.EPERM : taken;
      });
      this.#tree.attributesChanging(node); // the number of links
      return result;
    });
  }

  unlink(path: FilePath, cancel: Cancel): Promise<number> {
    return this.#resolver.at(path, "parent", cancel, async (walk) => {
      const name = walk.lastName;
      if (name === undefined || name === "." || name === "..") return -Errno.EISDIR;
      if (walk.trailingSlash) return this.#refuseSlash(walk, name, cancel);
      return this.#remove(Opcode.Unlink, walk.node, name, cancel);
    });
  }

  rmdir(path: FilePath, cancel: Cancel): Promise<number> {
    return this.#resolver.at(path, "parent", cancel, async (walk) => {
      const name = walk.lastName;
      if (name === undefined) return -Errno.EBUSY;
      if (name === ".") return -Errno.EINVAL;
      if (name === "..") return -Errno.ENOTEMPTY;
      return this.#remove(Opcode.Rmdir, walk.node, name, cancel);
    });
  }

  rename(
    from: FilePath,
    to: FilePath,
    options: { readonly noReplace?: boolean; readonly exchange?: boolean },
    cancel: Cancel,
  ): Promise<number> {
    if (options.noReplace === true && options.exchange === true) return Promise.resolve(-Errno.EINVAL);
    const flags =
      options.noReplace === true ? RenameFlag.NoReplace : options.exchange === true ? RenameFlag.Exchange : 0;
    return this.#resolver.at(from, "parent", cancel, (source) =>
      this.#resolver.at(to, "parent", cancel, (target) => this.#rename(source, target, flags, cancel)),
    );
  }

  async #rename(source: Walk, target: Walk, flags: number, cancel: Cancel): Promise<number> {
    const name = source.lastName;
    const newName = target.lastName;
    if (isSpecial(name) || isSpecial(newName)) return -Errno.EBUSY;
    // The name is looked up first, and its node held, as a kernel would: virtiofsd answers EIO for nodes it never gave.
    const moved = await this.#tree.find(source.node, name, cancel);
    if (typeof moved === "number") return moved;
    const mustBeDirectory = source.trailingSlash || target.trailingSlash;
    const result =
      mustBeDirectory && !moved.isDirectory
        ? -Errno.ENOTDIR
        : await this.#move(source.node, name, target.node, newName, flags, cancel);
    this.#tree.nodes.release(moved);
    return result;
  }

  async #move(
    parent: Node,
    name: ByteString,
    newParent: Node,
    newName: ByteString,
    flags: number,
    cancel: Cancel,
  ): Promise<number> {
    this.#tree.changing(parent);
    this.#tree.changing(newParent);
    const result = await this.#operations.rename(parent.id, name, newParent.id, newName, flags, cancel);
    this.#forgetName(parent, name);
    this.#forgetName(newParent, newName);
    this.#tree.changing(parent);
    this.#tree.changing(newParent);
    return result;
  }

  async #make(
    path: FilePath,
    what: "directory" | "other",
    cancel: Cancel,
    ask: (parent: Node, name: ByteString) => Promise<EntryReply | number>,
  ): Promise<number> {
    return this.#resolver.at(path, "parent", cancel, async (walk) => {
      const name = walk.lastName;
      if (isSpecial(name)) return -Errno.EEXIST;
      if (walk.trailingSlash && what === "other") {
        const found = await this.#isDirectory(walk.node, name, cancel);
        return found < 0 ? found : -Errno.EEXIST;
      }
      const parent = walk.node;
      const mark = this.#tree.changing(parent);
      const reply = await ask(parent, name);
      const node = typeof reply === "number" ? reply : this.#tree.entered(reply, parent, name, mark);
      if (typeof node === "number") this.#forgetName(parent, name);
      this.#tree.changing(parent);
      if (typeof node === "number") return typeof reply === "number" ? node : -Errno.EIO;
      this.#tree.nodes.release(node);
      return 0;
    });
  }

  async #remove(
    opcode: typeof Opcode.Unlink | typeof Opcode.Rmdir,
    parent: Node,
    name: ByteString,
    cancel: Cancel,
  ): Promise<number> {
    const removed = await this.#tree.find(parent, name, cancel); // see #rename
    if (typeof removed === "number") return removed;
    this.#tree.changing(parent);
    const result = await this.#operations.remove(opcode, parent.id, name, cancel);
    this.#forgetName(parent, name);
    this.#tree.changing(parent);
    this.#tree.attributesChanging(removed); // one link less
    this.#tree.nodes.release(removed);
    return result;
  }

  /** unlink of a name with a slash behind it never works; the errno says what is there. */
  async #refuseSlash(walk: Walk, name: ByteString, cancel: Cancel): Promise<number> {
    const found = await this.#isDirectory(walk.node, name, cancel);
    if (found < 0) return found;
    return found === 1 ? -Errno.EISDIR : -Errno.ENOTDIR;
  }

  /** 1 when the name is a directory, 0 when it is something else, or a negative errno. */
  async #isDirectory(parent: Node, name: ByteString, cancel: Cancel): Promise<number> {
    const found = await this.#tree.lookup(parent, name, cancel);
    if (typeof found === "number") return found;
    const { isDirectory } = found;
    this.#tree.nodes.release(found);
    return isDirectory ? 1 : 0;
  }

  /** The name may mean something else now, and what it meant may have one link less. */
  #forgetName(parent: Node, name: ByteString): void {
    const node = this.#tree.names.get(parent, name)?.node;
    if (node !== undefined) this.#tree.attributesChanging(node);
    this.#tree.names.drop(parent, name);
  }
}

function isSpecial(name: ByteString | undefined): name is undefined {
  return name === undefined || name === "." || name === "..";
}
