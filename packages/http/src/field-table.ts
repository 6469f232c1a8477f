/** The fields of one request, as places in the bytes of its head. Strings are made when they are asked for. */
import { latin1, spells, TAB } from "./chars.ts";

/** nameStart, nameEnd, valueStart, valueEnd, lineEnd. */
const WORDS = 5;

export class FieldTable {
  count = 0;
  /** The head; names are in lower case. */
  bytes: Uint8Array = new Uint8Array(0);
  readonly #places: Uint32Array;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
    this.#places = new Uint32Array(max * WORDS);
  }

  clear(): void {
    this.count = 0;
  }

  /** `false` when the table is full. */
  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, lineEnd: number): boolean {
    if (this.count === this.#max) return false;
    const at = this.count * WORDS;
    this.#places[at] = nameStart;
    this.#places[at + 1] = nameEnd;
    this.#places[at + 2] = valueStart;
    this.#places[at + 3] = valueEnd;
    this.#places[at + 4] = lineEnd;
    this.count++;
    return true;
  }

  /** @param name in lower case */
  isNamed(index: number, name: string): boolean {
    return spells(this.bytes, this.#place(index, 0), this.#place(index, 1), name);
  }

  nameLength(index: number): number {
    return this.#place(index, 1) - this.#place(index, 0);
  }

  valueStart(index: number): number {
    return this.#place(index, 2);
  }

  valueEnd(index: number): number {
    return this.#place(index, 3);
  }

  /** Whether a tab stands anywhere behind the field's name: in the value, or around it. */
  hasTab(index: number): boolean {
    const end = this.#place(index, 4);
    for (let i = this.#place(index, 1); i < end; i++) if (this.bytes[i] === TAB) return true;
    return false;
  }

  name(index: number): string {
    return latin1(this.bytes, this.#place(index, 0), this.#place(index, 1));
  }

  value(index: number): string {
    return latin1(this.bytes, this.valueStart(index), this.valueEnd(index));
  }

  /** All values of a field, joined as RFC 9110 §5.3 has it; `undefined` when there is none. @param name in lower case */
  find(name: string): string | undefined {
    let found: string | undefined;
    for (let index = 0; index < this.count; index++) {
      if (!this.isNamed(index, name)) continue;
      found = found === undefined ? this.value(index) : `${found}, ${this.value(index)}`;
    }
    return found;
  }

  #place(index: number, word: number): number {
    return this.#places[index * WORDS + word] as number;
  }
}
