/**
 * The machine that looks for data races. ECMAScript promises that a program without data races behaves as if all
 * accesses happened one after the other (§29.11, "sequential consistency of data race free programs"), on every engine
 * and every processor. So it is enough to run the accesses one after the other, and to find that whenever two conflict,
 * something orders them: an atomic store that an atomic load has read, or a wake-up.
 *
 * While there is no race, when a plain access happens makes no difference: only what is atomic is tried in every order.
 *
 * A state is [memory, access log, then per thread: node, asleep (0, or 1 + the address waited on)].
 */
import { type Access, modified, type NameOf, readBytes, WAIT_NOT_EQUAL, WAIT_WOKEN, writeBytes } from "./access.ts";
import { type AccessLog, copyOf, emptyLog, forgetKnown, keyOf, raceOf, record } from "./access-log.ts";
import { Interned, internedBytes } from "./intern.ts";
import type { Machine, State, Step, Transition } from "./machine.ts";
import type { ThreadNode, ThreadTree } from "./thread-tree.ts";

const PER_THREAD = 2;
const AWAKE = 0;

/** What an access does to memory. */
interface Effect {
  readonly result: number;
  readonly write?: number;
  readonly wakes?: readonly number[];
}

/** A state while steps are taken. */
interface Unpacked {
  readonly memory: Uint8Array;
  readonly log: AccessLog;
  readonly nodes: ThreadNode[];
  readonly asleep: number[];
  readonly steps: Step[];
  failure: string | undefined;
}

export class HappensBefore implements Machine {
  readonly threads: readonly ThreadTree[];
  readonly initial: State;
  readonly #nameOf: NameOf;
  readonly #memories: Interned<Uint8Array> = internedBytes();
  readonly #logs = new Interned<AccessLog>(keyOf);

  constructor(threads: readonly ThreadTree[], image: Uint8Array, nameOf: NameOf) {
    this.threads = threads;
    this.#nameOf = nameOf;
    const log = this.#logs.id(emptyLog(threads.length));
    this.initial = [this.#memories.id(image), log, ...threads.flatMap(({ root }) => [root.id, AWAKE])];
  }

  nodeId(state: State, thread: number): number {
    return state[placeOf(thread, 0)] ?? 0;
  }

  transitions(state: State): readonly Transition[] {
    const start = this.#unpack(state);
    const first = this.#settled(start);
    // Only where the threads begin.
    if (first.steps.length > 0) return [first];
    return this.threads.flatMap((_, thread) => {
      const now = this.#unpack(state);
      return this.#perform(now, thread) ? [this.#settled(now)] : [];
    });
  }

  #unpack(state: State): Unpacked {
    const memory = this.#memories.get(state[0] ?? 0).slice();
    const nodes = this.threads.map((tree, thread) => tree.node(this.nodeId(state, thread)));
    const asleep = this.threads.map((_, thread) => state[placeOf(thread, 1)] ?? 0);
    return { memory, log: copyOf(this.#logs.get(state[1] ?? 0)), nodes, asleep, steps: [], failure: undefined };
  }

  /** Takes all plain accesses that come next. */
  #settled(now: Unpacked): Transition {
    for (let thread = 0; thread < this.threads.length; thread++) {
      while (now.failure === undefined && isPlain(now.nodes[thread])) this.#perform(now, thread);
    }
    const { steps, failure } = now;
    forgetKnown(now.log);
    const ids = now.nodes.flatMap(({ id }, thread) => [id, now.asleep[thread] ?? AWAKE]);
    const next = [this.#memories.id(now.memory), this.#logs.id(now.log), ...ids];
    return failure === undefined ? { steps, next } : { steps, next, failure };
  }

  /** Whether the thread could take its next step. */
  #perform(now: Unpacked, thread: number): boolean {
    const { memory, nodes, asleep, log } = now;
    const node = nodes[thread];
    if (node?.step.kind !== "at" || asleep[thread] !== AWAKE) return false;
    const { access } = node.step;
    const inMemory = readBytes(memory, access.at, access.size);
    const effect = effectOf(access, inMemory, asleep);
    if (effect === undefined) return false;
    const { result, write, wakes = [] } = effect;
    const sleeps = effect === SLEEPS;
    now.failure = this.#race(log, thread, access);
    record(log, thread, access, wakes);
    if (write !== undefined) writeBytes(memory, access.at, access.size, write);
    if (sleeps) asleep[thread] = access.at + 1;
    else this.#advance(now, thread, result);
    for (const woken of wakes) {
      this.#advance(now, woken, WAIT_WOKEN);
      asleep[woken] = AWAKE;
    }
    const shown = access.kind === "wait" ? inMemory : result;
    now.steps.push({ thread, access, phase: sleeps ? "sleeps" : "performs", result: shown });
    return true;
  }

  #advance(now: Unpacked, thread: number, result: number): void {
    const node = now.nodes[thread];
    const after = node === undefined ? undefined : this.threads[thread]?.after(node, result);
    if (after !== undefined) now.nodes[thread] = after;
  }

  #race(log: AccessLog, thread: number, access: Access): string | undefined {
    const race = raceOf(log, thread, access);
    if (race === undefined) return undefined;
    const other = this.threads[race.thread]?.name ?? "";
    const own = this.threads[thread]?.name ?? "";
    return `data race on ${this.#nameOf(access.at)}: nothing orders the ${race.kind} of ${other} before this access of ${own}`;
  }
}

const SLEEPS: Effect = { result: 0 };

/** `undefined`: not now. */
function effectOf(access: Access, inMemory: number, asleep: readonly number[]): Effect | undefined {
  switch (access.kind) {
    case "load":
      return { result: inMemory };
    case "store":
      return { result: 0, write: access.value };
    case "modify":
      return { result: inMemory, write: modified(access, inMemory) };
    case "ring":
      return { result: 0, write: 1 };
    case "sleep":
      return inMemory === 0 ? undefined : { result: 0, write: 0 };
    case "wait":
      return inMemory === access.value ? SLEEPS : { result: WAIT_NOT_EQUAL };
    case "notify": {
      const wakes = asleep.flatMap((place, thread) => (place === access.at + 1 ? [thread] : []));
      return { result: wakes.length, wakes };
    }
  }
}

function isPlain(node: ThreadNode | undefined): boolean {
  if (node?.step.kind !== "at") return false;
  const { access } = node.step;
  return (access.kind === "load" || access.kind === "store") && !access.atomic;
}

function placeOf(thread: number, field: number): number {
  return 2 + thread * PER_THREAD + field;
}
