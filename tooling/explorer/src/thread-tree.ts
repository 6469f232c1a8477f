/**
 * What one thread does, as a tree: each node is an access at which the thread stands, each branch a value that the
 * access may return. JavaScript cannot be stopped in the middle of a call, so the tree grows by running the thread from
 * its start with the values on the way to a leaf; at the first access behind them, a thrown `PAUSE` ends the run. Each
 * node is made once, however many interleavings pass through it.
 */
import { type Access, type AccessPort, modified, readBytes, writeBytes } from "./access.ts";
import type { ThreadProgram, World } from "./program.ts";
import type { StandIns } from "./stand-ins.ts";

export interface ThreadNode {
  readonly id: number;
  readonly parent: ThreadNode | undefined;
  /** What the parent's access returned. */
  readonly result: number;
  readonly step: { readonly kind: "at"; readonly access: Access } | { readonly kind: "ended" } | Failed;
  readonly children: Map<number, ThreadNode>;
}

interface Failed {
  readonly kind: "failed";
  readonly reason: string;
}

/** What ends a run. One for all: making an error costs more than running a thread to its next access. */
const PAUSE = new Error("the thread is to be continued");

export interface ThreadTreeOptions {
  readonly program: ThreadProgram;
  readonly standIns: StandIns;
  readonly world: Omit<World, "ring" | "sleep">;
  /** The shared memory as this thread's start finds it. */
  readonly image: Uint8Array;
  /** Changes what the thread does: for mutants. */
  readonly rewrite: (access: Access) => Access;
}

export class ThreadTree {
  readonly name: string;
  readonly root: ThreadNode;
  /** The shared memory as this thread's start leaves it. */
  readonly imageAfter: Uint8Array;
  /** Runs of the thread so far. */
  runs = 0;
  readonly nodes: ThreadNode[] = [];
  readonly #options: ThreadTreeOptions;

  constructor(options: ThreadTreeOptions) {
    this.#options = options;
    this.name = options.program.name;
    this.imageAfter = options.image.slice();
    this.root = this.#run(undefined, 0, this.imageAfter);
  }

  /** Where the thread stands when the access of `node` has returned `result`. */
  after(node: ThreadNode, result: number): ThreadNode {
    return node.children.get(result) ?? this.#run(node, result, this.#options.image.slice());
  }

  node(id: number): ThreadNode {
    const node = this.nodes[id];
    if (node === undefined) throw new Error(`a thread has no node ${id}`);
    return node;
  }

  #run(parent: ThreadNode | undefined, result: number, image: Uint8Array): ThreadNode {
    this.runs++;
    const { standIns, program, world, rewrite } = this.#options;
    const replay = new Replay(program.name, pathTo(parent, result), rewrite);
    let step: ThreadNode["step"] = { kind: "ended" };
    try {
      standIns.port = directly(image);
      const body = program.start({
        ...world,
        ring: (at) => void standIns.port.perform({ kind: "ring", at, size: 4 }),
        sleep: (at) => void standIns.port.perform({ kind: "sleep", at, size: 4 }),
      });
      standIns.port = replay;
      body();
    } catch (error) {
      if (error !== PAUSE) step = { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
    }
    // Code under test may have caught the pause; then what it did afterwards does not count.
    if (replay.paused !== undefined) step = { kind: "at", access: replay.paused };
    replay.finish();
    const node: ThreadNode = { id: this.nodes.length, parent, result, step, children: new Map() };
    this.nodes.push(node);
    parent?.children.set(result, node);
    return node;
  }
}

/** An access of an earlier run, and what it returned. */
interface Recorded {
  readonly access: Access;
  readonly result: number;
}

/** Returns the recorded results, then pauses. */
class Replay implements AccessPort {
  paused: Access | undefined;
  readonly #thread: string;
  readonly #path: readonly Recorded[];
  readonly #rewrite: (access: Access) => Access;
  #next = 0;

  constructor(thread: string, path: readonly Recorded[], rewrite: (access: Access) => Access) {
    this.#thread = thread;
    this.#path = path;
    this.#rewrite = rewrite;
  }

  perform(asked: Access): number {
    const recorded = this.paused === undefined ? this.#path[this.#next] : undefined;
    const access = this.#rewrite(asked);
    if (recorded === undefined) {
      this.paused ??= access;
      throw PAUSE;
    }
    if (access.kind !== recorded.access.kind || access.at !== recorded.access.at) throw this.#different();
    this.#next++;
    return recorded.result;
  }

  /** @throws Error when the thread ended before the record did. */
  finish(): void {
    if (this.#next < this.#path.length) throw this.#different();
  }

  #different(): Error {
    return new Error(`thread ${this.#thread} does not do the same although its loads return the same`);
  }
}

/** Before the threads run: straight onto the memory. */
function directly(image: Uint8Array): AccessPort {
  return {
    perform: (access) => {
      const { at, size } = access;
      if (access.kind === "load") return readBytes(image, at, size);
      if (access.kind !== "store" && access.kind !== "modify") throw new Error(`${access.kind} before the threads run`);
      const old = readBytes(image, at, size);
      writeBytes(image, at, size, access.kind === "store" ? access.value : modified(access, old));
      return old;
    },
  };
}

function pathTo(parent: ThreadNode | undefined, result: number): Recorded[] {
  const path: Recorded[] = [];
  let last = result;
  for (let node = parent; node !== undefined; node = node.parent) {
    if (node.step.kind === "at") path.push({ access: node.step.access, result: last });
    last = node.result;
  }
  return path.reverse();
}
