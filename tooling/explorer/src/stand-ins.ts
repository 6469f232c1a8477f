/**
 * What the code under test gets instead of shared memory: `SharedBytes` for a SharedArrayBuffer, typed arrays over it
 * whose every element access goes to a port, and an `Atomics` that does the same. Over ordinary buffers all of them
 * are the engine's own.
 */
import { type Access, type AccessPort, type ModifyOperation, truncate, WAIT_WOKEN } from "./access.ts";

/** Stands for a SharedArrayBuffer; its bytes lie at `base` in the model's memory. */
export class SharedBytes {
  readonly base: number;
  readonly byteLength: number;
  /** By this tag the code under test finds that the buffer is shared. */
  readonly [Symbol.toStringTag] = "SharedArrayBuffer";

  constructor(base: number, byteLength: number) {
    this.base = base;
    this.byteLength = byteLength;
  }

  /** The type that the code under test wants to see. */
  asBuffer(): SharedArrayBuffer {
    return this as unknown as SharedArrayBuffer;
  }
}

const KINDS = {
  Uint8Array: { Real: Uint8Array, size: 1, signed: false },
  Uint16Array: { Real: Uint16Array, size: 2, signed: false },
  Uint32Array: { Real: Uint32Array, size: 4, signed: false },
  Int32Array: { Real: Int32Array, size: 4, signed: true },
} as const;

type Kind = (typeof KINDS)[keyof typeof KINDS];

interface ArrayLikeView {
  readonly length: number;
  readonly [index: number]: number | undefined;
}

/** The part of a typed array that code uses on guest memory. */
class View {
  readonly buffer: SharedBytes;
  readonly byteOffset: number;
  readonly length: number;
  readonly kind: Kind;
  readonly standIns: StandIns;

  constructor(standIns: StandIns, kind: Kind, buffer: SharedBytes, byteOffset = 0, length?: number) {
    const count = length ?? (buffer.byteLength - byteOffset) / kind.size;
    if (
      !Number.isInteger(count) ||
      byteOffset % kind.size !== 0 ||
      byteOffset + count * kind.size > buffer.byteLength
    ) {
      throw new RangeError(`no view of ${count} × ${kind.size} bytes at ${byteOffset} of ${buffer.byteLength}`);
    }
    this.standIns = standIns;
    this.kind = kind;
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.length = count;
  }

  get byteLength(): number {
    return this.length * this.kind.size;
  }

  fill(value: number, start = 0, end = this.length): this {
    for (let i = start; i < end; i++) this.put(i, value);
    return this;
  }

  set(source: ArrayLikeView, offset = 0): void {
    const values = Array.from({ length: source.length }, (_, i) => source[i] ?? 0);
    if (offset + values.length > this.length) throw new RangeError("offset is out of bounds");
    values.forEach((value, i) => {
      this.put(offset + i, value);
    });
  }

  subarray(start = 0, end = this.length): object {
    const from = Math.min(start, this.length);
    const count = Math.max(0, Math.min(end, this.length) - from);
    return this.standIns.view(this.kind, this.buffer, this.byteOffset + from * this.kind.size, count);
  }

  copyWithin(target: number, start: number, end = this.length): this {
    const values = Array.from({ length: end - start }, (_, i) => this.get(start + i));
    values.forEach((value, i) => {
      this.put(target + i, value);
    });
    return this;
  }

  *[Symbol.iterator](): IterableIterator<number> {
    for (let i = 0; i < this.length; i++) yield this.get(i);
  }

  get(index: number): number {
    const { size } = this.kind;
    return this.value(this.standIns.port.perform({ kind: "load", at: this.at(index), size, atomic: false }));
  }

  put(index: number, value: number): void {
    const { size } = this.kind;
    const bits = truncate(value, size);
    this.standIns.port.perform({ kind: "store", at: this.at(index), size, value: bits, atomic: false });
  }

  at(index: number): number {
    return this.buffer.base + this.byteOffset + index * this.kind.size;
  }

  value(bits: number): number {
    return this.kind.signed ? bits | 0 : bits;
  }
}

const handler: ProxyHandler<View> = {
  get(view, property, receiver): unknown {
    const index = elementIndex(property);
    if (index === undefined) return Reflect.get(view, property, receiver);
    return index < view.length ? view.get(index) : undefined;
  },
  set(view, property, value): boolean {
    const index = elementIndex(property);
    if (index === undefined) return false;
    if (index < view.length) view.put(index, Number(value));
    return true;
  },
};

function elementIndex(property: string | symbol): number | undefined {
  return typeof property === "string" && /^\d+$/.test(property) ? Number(property) : undefined;
}

export class StandIns {
  /** Changed by whoever runs a thread. */
  port: AccessPort = {
    perform: () => {
      throw new Error("shared memory was touched while no thread ran");
    },
  };
  readonly #views = new WeakMap<object, View>();

  /** Values for the names that the code under test shall see instead of the engine's. */
  globals(): ReadonlyMap<string, unknown> {
    const globals = new Map<string, unknown>([["Atomics", this.#atomics()]]);
    for (const [name, kind] of Object.entries(KINDS)) {
      const construct = (target: typeof kind.Real, args: unknown[]): object => {
        const [buffer, byteOffset, length] = args;
        if (!(buffer instanceof SharedBytes)) return Reflect.construct(target, args);
        return this.view(kind, buffer, asNumber(byteOffset), asNumber(length));
      };
      globals.set(name, new Proxy(kind.Real, { construct }));
    }
    return globals;
  }

  view(kind: Kind, buffer: SharedBytes, byteOffset?: number, length?: number): object {
    const view = new View(this, kind, buffer, byteOffset, length);
    const proxy = new Proxy(view, handler);
    this.#views.set(proxy, view);
    return proxy;
  }

  /** Words of shared memory, for what a host hands to its threads. */
  words(buffer: SharedBytes): Int32Array {
    return this.view(KINDS.Int32Array, buffer) as unknown as Int32Array;
  }

  #atomics(): object {
    const modify =
      (operation: ModifyOperation) =>
      (words: Int32Array, index: number, value: number, replacement = 0): number => {
        const view = this.#views.get(words);
        const compared = operation === "compareExchange";
        if (view === undefined) {
          return compared
            ? Atomics.compareExchange(words, index, value, replacement)
            : Atomics[operation](words, index, value);
        }
        const { size } = view.kind;
        const given = truncate(compared ? replacement : value, size);
        const expected = truncate(value, size);
        return this.#at(view, index, { kind: "modify", size, operation, value: given, expected });
      };
    return {
      load: (words: Int32Array, index: number): number => {
        const view = this.#views.get(words);
        if (view === undefined) return Atomics.load(words, index);
        return this.#at(view, index, { kind: "load", size: view.kind.size, atomic: true });
      },
      store: (words: Int32Array, index: number, value: number): number => {
        const view = this.#views.get(words);
        if (view === undefined) return Atomics.store(words, index, value);
        const { size } = view.kind;
        this.#at(view, index, { kind: "store", size, value: truncate(value, size), atomic: true });
        return value;
      },
      add: modify("add"),
      sub: modify("sub"),
      and: modify("and"),
      or: modify("or"),
      xor: modify("xor"),
      exchange: modify("exchange"),
      compareExchange: modify("compareExchange"),
      wait: (words: Int32Array, index: number, value: number, timeout = Number.POSITIVE_INFINITY): string => {
        const view = this.#mustBeShared(words);
        // A wait that ends by itself would hide the wake-up that got lost.
        if (timeout !== Number.POSITIVE_INFINITY) throw new Error("only waits without a time limit are explored");
        const { size } = view.kind;
        const outcome = this.#at(view, index, { kind: "wait", size, value: truncate(value, size) });
        return outcome === WAIT_WOKEN ? "ok" : "not-equal";
      },
      notify: (words: Int32Array, index: number, count = Number.POSITIVE_INFINITY): number => {
        const view = this.#mustBeShared(words);
        if (count !== Number.POSITIVE_INFINITY) throw new Error("only notifications of all waiters are explored");
        return this.#at(view, index, { kind: "notify", size: view.kind.size });
      },
    };
  }

  #mustBeShared(words: Int32Array): View {
    const view = this.#views.get(words);
    if (view === undefined) throw new TypeError("a wait on memory that is not shared");
    return view;
  }

  #at(view: View, index: number, access: AccessWithoutPlace): number {
    if (!(index >= 0 && index < view.length)) throw new RangeError(`index ${index} of ${view.length}`);
    return view.value(this.port.perform({ ...access, at: view.at(index) } as Access));
  }
}

/** Omit, for each member of the union. */
type AccessWithoutPlace = Access extends infer One ? (One extends Access ? Omit<One, "at"> : never) : never;

function asNumber(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
