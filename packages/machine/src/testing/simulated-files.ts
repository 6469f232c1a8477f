/**
 * A file system that answers at once, later, in another order, or with an errno; and counts what its guest holds, so that
 * a handle that is never released, or a lookup that is dropped twice, is found.
 */
import { Errno, SystemError } from "@toril/virtio/platform";
import type { DirectoryItem, Entry, FileHandle, FileSystem, NodeId, OpenResult } from "@toril/virtio-fs/device";
import type { Simulation } from "./simulation.ts";

/** What becomes of one call. `answered later`: done at once, but the guest hears of it later. */
export type FileFate =
  | { readonly kind: "now" }
  | { readonly kind: "later" | "answered later"; readonly ms: number }
  | { readonly kind: "fails"; readonly ms: number; readonly errno: number };

export interface FileBehaviour {
  /** Decides about a call; `forget` and `reset` are not asked for, releases cannot fail. */
  fate(call: keyof FileSystem): FileFate;
}

const CANNOT_FAIL: ReadonlySet<string> = new Set(["release", "releasedir"]);
const AT_ONCE: ReadonlySet<string> = new Set(["reset", "forget"]);

type AnyCall = (...args: unknown[]) => unknown;

export class SimulatedFiles {
  readonly fileSystem: FileSystem;
  readonly #simulation: Simulation;
  readonly #behaviour: FileBehaviour;
  readonly #handles = new Set<FileHandle>();
  readonly #lookups = new Map<NodeId, number>();
  readonly #violations: string[] = [];
  /** Sessions so far: a call of an earlier one must touch nothing any more. */
  #session = 0;
  #waiting = 0;

  constructor(simulation: Simulation, inner: FileSystem, behaviour: FileBehaviour) {
    this.#simulation = simulation;
    this.#behaviour = behaviour;
    this.fileSystem = new Proxy(inner, { get: (target, name) => this.#method(target, name) });
  }

  /** Files and directories that the guest has open. */
  get openHandles(): number {
    return this.#handles.size;
  }

  /** Calls that have not been answered. */
  get waiting(): number {
    return this.#waiting;
  }

  /** What the guest did that the FUSE protocol forbids. */
  get violations(): readonly string[] {
    return this.#violations;
  }

  #method(target: FileSystem, name: string | symbol): unknown {
    const method: unknown = Reflect.get(target, name);
    if (typeof method !== "function" || typeof name !== "string") return method;
    const call: AnyCall = (...args) => Reflect.apply(method, target, args) as unknown;
    if (AT_ONCE.has(name)) {
      return (...args: unknown[]): unknown => {
        if (name === "reset") this.#ended();
        else this.#forgotten(args[0] as NodeId, args[1] as number);
        return call(...args);
      };
    }
    const kind = name as keyof FileSystem;
    return (...args: unknown[]): unknown => this.#serve(kind, call, this.#watched(kind, args));
  }

  #serve(name: keyof FileSystem, call: AnyCall, args: unknown[]): unknown {
    const fate = this.#behaviour.fate(name);
    const session = this.#session;
    const simulation = this.#simulation;
    if (fate.kind === "now") return this.#counted(name, session, args, call(...args));
    if (fate.kind === "fails" && !CANNOT_FAIL.has(name)) {
      const fail = (): never => {
        simulation.note(`${name} fails with errno ${fate.errno}`);
        throw new SystemError(fate.errno, name, "the simulated disk says so");
      };
      if (fate.ms === 0) return fail();
      return this.#later(name, fate.ms, session).then(fail);
    }
    if (fate.kind === "answered later") {
      const result = this.#counted(name, session, args, call(...args));
      return this.#later(name, fate.ms, session).then(() => result);
    }
    return this.#later(name, fate.ms, session).then(() => {
      if (session !== this.#session) throw new SystemError(Errno.EIO, name, "the session is over");
      return this.#counted(name, session, args, call(...args));
    });
  }

  async #later(name: string, ms: number, session: number): Promise<void> {
    this.#waiting++;
    await this.#simulation.sleep(ms, `${name} goes on`);
    if (session === this.#session) this.#waiting--;
  }

  /** Items that a plus listing delivers are lookups. */
  #watched(name: keyof FileSystem, args: unknown[]): unknown[] {
    if (name !== "readdir") return args;
    const emit = args[4] as (item: DirectoryItem) => boolean;
    const session = this.#session;
    const counting = (item: DirectoryItem): boolean => {
      const taken = emit(item);
      if (taken && item.entry !== undefined && session === this.#session) this.#found(item.entry.node);
      return taken;
    };
    return [...args.slice(0, 4), counting];
  }

  #counted(name: keyof FileSystem, session: number, args: unknown[], result: unknown): unknown {
    if (session !== this.#session) return result;
    if (name === "open" || name === "opendir" || name === "create") this.#handles.add((result as OpenResult).handle);
    if (name === "release" || name === "releasedir") {
      if (!this.#handles.delete(args[1] as FileHandle)) this.#violations.push(`${name} of a handle that is not open`);
    }
    if (ENTRY_CALLS.has(name)) this.#found((result as Entry).node);
    return result;
  }

  #found(node: NodeId): void {
    this.#lookups.set(node, (this.#lookups.get(node) ?? 0) + 1);
  }

  #forgotten(node: NodeId, count: number): void {
    const left = (this.#lookups.get(node) ?? 0) - count;
    if (left < 0) this.#violations.push(`node ${node} forgotten ${-left} times more often than looked up`);
    if (left <= 0) this.#lookups.delete(node);
    else this.#lookups.set(node, left);
  }

  #ended(): void {
    this.#session++;
    this.#waiting = 0;
    this.#handles.clear();
    this.#lookups.clear();
  }
}

/** Whoever finds or makes a name counts as a lookup (file-system.ts, `Entry`). */
const ENTRY_CALLS: ReadonlySet<string> = new Set(["lookup", "create", "mkdir", "mknod", "symlink", "link"]);
