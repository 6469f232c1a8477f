/** Gives equal things the same small number, so that a state of the whole search is a few numbers. */
export class Interned<T> {
  readonly #ids = new Map<string, number>();
  readonly #things: T[] = [];
  readonly #keyOf: (thing: T) => string;

  constructor(keyOf: (thing: T) => string) {
    this.#keyOf = keyOf;
  }

  get count(): number {
    return this.#things.length;
  }

  id(thing: T): number {
    const key = this.#keyOf(thing);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#ids.set(key, this.#things.length);
    return this.#things.push(thing) - 1;
  }

  get(id: number): T {
    const thing = this.#things[id];
    if (thing === undefined) throw new Error(`nothing has the number ${id}`);
    return thing;
  }
}

/** The bytes of shared memory, each content once. */
export function internedBytes(): Interned<Uint8Array> {
  return new Interned((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"));
}
