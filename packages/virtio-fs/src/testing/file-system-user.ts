/** A FileSystem, used the way the FUSE server uses it, with text for names and bytes: what the compliance cases speak. */
import { type ErrnoName, textCodec } from "@toril/virtio/platform";
import type {
  Attributes,
  DirectoryItem,
  Entry,
  FileHandle,
  FileSystem,
  NodeId,
  OpenResult,
} from "../device/file-system.ts";
import { ROOT_NODE } from "../device/file-system.ts";
import { OpenFlag } from "../wire/open.ts";

const text = textCodec();
export const CALLER = { uid: 0, gid: 0, pid: 1 } as const;

/** A compliance case found something wrong. */
export class ComplianceError extends Error {
  override readonly name = "ComplianceError";
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new ComplianceError(`${what}: got ${a}, expected ${e}`);
}

/** The call must fail with this error. */
export async function expectError(code: ErrnoName | readonly ErrnoName[], call: () => unknown): Promise<void> {
  const codes: readonly string[] = typeof code === "string" ? [code] : code;
  try {
    await call();
  } catch (error) {
    const actual = (error as { code?: unknown }).code;
    if (codes.some((one) => one === actual)) return;
    throw new ComplianceError(`got ${String(error)}, expected ${codes.join(" or ")}`);
  }
  throw new ComplianceError(`the call succeeded, expected ${codes.join(" or ")}`);
}

export function nameOf(name: string): Uint8Array {
  return text.encode(name);
}

export class FileSystemUser {
  readonly fs: FileSystem;

  constructor(fs: FileSystem) {
    this.fs = fs;
  }

  async lookup(name: string, parent: NodeId = ROOT_NODE): Promise<Entry> {
    return await this.fs.lookup(parent, nameOf(name), CALLER);
  }

  async attributes(node: NodeId): Promise<Attributes> {
    return (await this.fs.getattr(node, undefined)).attributes;
  }

  /** Creates, writes and closes a file; its lookup stays counted. */
  async file(name: string, content: string, parent: NodeId = ROOT_NODE): Promise<Entry> {
    const created = await this.create(name, parent);
    await this.write(created.node, created.handle, 0, content);
    await this.fs.release(created.node, created.handle);
    return created;
  }

  async create(
    name: string,
    parent: NodeId = ROOT_NODE,
    flags: number = OpenFlag.ReadWrite,
  ): Promise<Entry & OpenResult> {
    return await this.need("create")(parent, nameOf(name), 0o100644, flags, CALLER);
  }

  async mkdir(name: string, parent: NodeId = ROOT_NODE): Promise<Entry> {
    return await this.need("mkdir")(parent, nameOf(name), 0o755, CALLER);
  }

  async write(node: NodeId, handle: FileHandle, offset: number, content: string): Promise<number> {
    const bytes = text.encode(content);
    const half = Math.floor(bytes.length / 2);
    return await this.need("write")(node, handle, offset, [bytes.subarray(0, half), bytes.subarray(half)], CALLER);
  }

  async readHandle(node: NodeId, handle: FileHandle, offset: number, length: number): Promise<string> {
    const bytes = new Uint8Array(length);
    const half = Math.floor(length / 2);
    const count = await this.fs.read(node, handle, offset, [bytes.subarray(0, half), bytes.subarray(half)]);
    return text.decode(bytes.subarray(0, count));
  }

  /** Opens, reads and closes. */
  async content(node: NodeId): Promise<string> {
    const { handle } = await this.fs.open(node, OpenFlag.ReadOnly, CALLER);
    const result = await this.readHandle(node, handle, 0, 65_536);
    await this.fs.release(node, handle);
    return result;
  }

  /** Names in a directory but "." and "..", sorted; read in pieces of `piece` items. */
  async names(node: NodeId = ROOT_NODE, piece = 3): Promise<string[]> {
    return (await this.items(node, piece)).map((item) => text.decode(item.name)).sort();
  }

  async items(node: NodeId, piece: number, kind: "plain" | "plus" = "plain"): Promise<DirectoryItem[]> {
    const { handle } = await this.fs.opendir(node, CALLER);
    const items: DirectoryItem[] = [];
    let offset = 0;
    for (;;) {
      const before = items.length;
      const start = offset;
      await this.fs.readdir(node, handle, offset, kind === "plus", (item) => {
        if (items.length - before >= piece) return false;
        items.push(item);
        offset = item.nextOffset;
        return true;
      });
      if (offset === start) break;
    }
    await this.fs.releasedir(node, handle);
    return items.filter((item) => !isDots(item.name));
  }

  /** @throws ComplianceError when the file system does not have the method. */
  need<K extends keyof FileSystem>(method: K): NonNullable<FileSystem[K]> {
    const found = this.fs[method];
    if (found === undefined) throw new ComplianceError(`the file system has no ${method}`);
    // Methods use `this`.
    return (found as { bind(self: FileSystem): NonNullable<FileSystem[K]> }).bind(this.fs);
  }
}

function isDots(name: Uint8Array): boolean {
  const shown = text.decode(name);
  return shown === "." || shown === "..";
}
