/**
 * Machines with a store buffer per thread.
 *
 * - A plain store goes into the thread's own buffer; a plain or an atomic load takes the newest value from there, byte
 *   by byte, else from memory. (An atomic load is an ordinary load on x86; that it does not empty the buffer is weaker
 *   than what brief descriptions of "sequentially consistent" suggest, and what V8 emits.)
 * - A store leaves the buffer for memory at any later time: in `tso` (x86) the oldest first; in `pso` any store that
 *   overlaps no older one.
 * - An atomic store, a read-modify-write, a wait, a notification and a doorbell happen only when the buffer is empty.
 *
 * A state is [memory, then per thread: node, buffer, asleep (0, or 1 + the address waited on)].
 */
import { type Access, isPlainStore, modified, readBytes, WAIT_NOT_EQUAL, WAIT_WOKEN, writeBytes } from "./access.ts";
import { type Interned, Interned as InternedThings, internedBytes } from "./intern.ts";
import type { Machine, State, Step, Transition } from "./machine.ts";
import type { ThreadNode, ThreadTree } from "./thread-tree.ts";

type BufferedStore = Access & { readonly kind: "store" };
type Buffer = readonly BufferedStore[];

const PER_THREAD = 3;
const AWAKE = 0;

export class StoreBuffers implements Machine {
  readonly threads: readonly ThreadTree[];
  readonly initial: State;
  readonly #order: "tso" | "pso";
  readonly #memories: Interned<Uint8Array> = internedBytes();
  readonly #buffers = new InternedThings<Buffer>((buffer) =>
    buffer.map(({ at, size, value }) => `${at}:${size}:${value}`).join(),
  );
  readonly #written = new Map<string, number>();
  readonly #empty: number;

  constructor(order: "tso" | "pso", threads: readonly ThreadTree[], image: Uint8Array) {
    this.#order = order;
    this.threads = threads;
    this.#empty = this.#buffers.id([]);
    const perThread = threads.flatMap(({ root }) => [root.id, this.#empty, AWAKE]);
    this.initial = [this.#memories.id(image), ...perThread];
  }

  nodeId(state: State, thread: number): number {
    return part(state, thread, 0);
  }

  transitions(state: State): readonly Transition[] {
    const settled = this.#settle([...state], []);
    // Only where the threads begin.
    if (settled.steps.length > 0) return [settled];
    const all: Transition[] = [];
    for (let thread = 0; thread < this.threads.length; thread++) {
      const node = this.#node(state, thread);
      if (node.step.kind === "at" && part(state, thread, 2) === AWAKE) {
        const done = this.#perform(state, thread, node, node.step.access);
        if (done !== undefined) all.push(this.#settle(done.next, [done.step]));
      }
      this.#addDrains(state, thread, all);
    }
    return all;
  }

  /** Nobody else sees a store enter a buffer, so it need not be tried before and after everything that others do. */
  #settle(state: number[], steps: Step[]): Transition {
    for (let thread = 0; thread < this.threads.length; thread++) {
      if (part(state, thread, 2) !== AWAKE) continue;
      let node = this.#node(state, thread);
      let buffer = this.#buffers.get(part(state, thread, 1));
      while (node.step.kind === "at" && isPlainStore(node.step.access)) {
        const { access } = node.step;
        buffer = [...buffer, access];
        steps.push({ thread, access, phase: "buffers", result: undefined });
        node = this.#tree(thread).after(node, 0);
      }
      state[placeOf(thread, 0)] = node.id;
      state[placeOf(thread, 1)] = this.#buffers.id(buffer);
    }
    return { steps, next: state };
  }

  #addDrains(state: State, thread: number, all: Transition[]): void {
    const buffer = this.#buffers.get(part(state, thread, 1));
    for (let i = 0; i < buffer.length; i++) {
      const access = buffer[i];
      if (access === undefined || (i > 0 && this.#order === "tso")) return;
      if (buffer.slice(0, i).some((older) => overlap(older, access))) continue;
      const next = [...state];
      next[0] = this.#write(memoryOf(state), access.at, access.size, access.value);
      next[placeOf(thread, 1)] = this.#buffers.id(buffer.filter((_, other) => other !== i));
      all.push({ steps: [{ thread, access, phase: "drains", result: undefined }], next });
    }
  }

  /** `undefined`: the thread cannot take its step now. */
  #perform(state: State, thread: number, node: ThreadNode, access: Access): Done | undefined {
    const bufferId = part(state, thread, 1);
    const { at, size } = access;
    const memory = memoryOf(state);
    const inMemory = readBytes(this.#memories.get(memory), at, size);
    const done = (result: number, shown: number | undefined = result, note?: string): Done => {
      const step: Step = { thread, access, phase: "performs", result: shown, ...(note === undefined ? {} : { note }) };
      return { step, next: this.#advance(state, thread, node, result) };
    };
    if (access.kind === "load") {
      const buffer = this.#buffers.get(bufferId);
      const value = forwarded(buffer, at, size, inMemory);
      return buffer.some((store) => overlap(store, access)) ? done(value, value, "from its own buffer") : done(value);
    }
    if (bufferId !== this.#empty) return undefined;
    switch (access.kind) {
      case "store": {
        const transition = done(0, undefined);
        transition.next[0] = this.#write(memory, at, size, access.value);
        return transition;
      }
      case "modify": {
        const transition = done(inMemory);
        transition.next[0] = this.#write(memory, at, size, modified(access, inMemory));
        return transition;
      }
      case "ring": {
        const transition = done(0, undefined);
        transition.next[0] = this.#write(memory, at, size, 1);
        return transition;
      }
      case "sleep": {
        if (inMemory === 0) return undefined;
        const transition = done(0, undefined, "was rung");
        transition.next[0] = this.#write(memory, at, size, 0);
        return transition;
      }
      case "wait": {
        if (inMemory !== access.value) return done(WAIT_NOT_EQUAL, inMemory, "no sleep: the value is another");
        const next = [...state];
        next[placeOf(thread, 2)] = at + 1;
        return { step: { thread, access, phase: "sleeps", result: undefined }, next };
      }
      case "notify": {
        const woken = this.threads.flatMap((_, other) => (part(state, other, 2) === at + 1 ? [other] : []));
        const transition = done(woken.length, woken.length);
        for (const other of woken) {
          transition.next[placeOf(other, 0)] = this.#afterNode(other, this.#node(state, other), WAIT_WOKEN);
          transition.next[placeOf(other, 2)] = AWAKE;
        }
        return transition;
      }
    }
  }

  #node(state: State, thread: number): ThreadNode {
    return this.#tree(thread).node(part(state, thread, 0));
  }

  #tree(thread: number): ThreadTree {
    const tree = this.threads[thread];
    if (tree === undefined) throw new Error(`there is no thread ${thread}`);
    return tree;
  }

  #afterNode(thread: number, node: ThreadNode, result: number): number {
    return this.#tree(thread).after(node, result).id;
  }

  #advance(state: State, thread: number, node: ThreadNode, result: number): number[] {
    const next = [...state];
    next[placeOf(thread, 0)] = this.#afterNode(thread, node, result);
    return next;
  }

  #write(memory: number, at: number, size: number, value: number): number {
    const key = `${memory}:${at}:${size}:${value}`;
    const known = this.#written.get(key);
    if (known !== undefined) return known;
    const bytes = this.#memories.get(memory).slice();
    writeBytes(bytes, at, size, value);
    const id = this.#memories.id(bytes);
    this.#written.set(key, id);
    return id;
  }
}

interface Done {
  readonly step: Step;
  readonly next: number[];
}

function placeOf(thread: number, field: number): number {
  return 1 + thread * PER_THREAD + field;
}

function part(state: State, thread: number, field: number): number {
  return state[placeOf(thread, field)] ?? 0;
}

function memoryOf(state: State): number {
  return state[0] ?? 0;
}

function overlap(a: Access, b: Access): boolean {
  return a.at < b.at + b.size && b.at < a.at + a.size;
}

/** A load's value: each byte from the newest store in the buffer that has it, else from memory. */
function forwarded(buffer: Buffer, at: number, size: number, inMemory: number): number {
  const bytes = new Uint8Array(size);
  writeBytes(bytes, 0, size, inMemory);
  const stored = new Uint8Array(4);
  for (const store of buffer) {
    writeBytes(stored, 0, store.size, store.value);
    for (let i = 0; i < store.size; i++) {
      const place = store.at + i - at;
      if (place >= 0 && place < size) bytes[place] = stored[i] ?? 0;
    }
  }
  return readBytes(bytes, 0, size);
}
