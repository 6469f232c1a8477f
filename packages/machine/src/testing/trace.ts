/** What happened in a simulation, in order: a hash of all of it, and the lines themselves when somebody wants to read them. */

const FNV_PRIME = 0x0100_0193;
const OTHER_PRIME = 0x85eb_ca6b;

export class Trace {
  #first = 0x811c_9dc5;
  #second = 0x9e37_79b9;
  #events = 0;
  readonly #lines: string[] | undefined;

  /** @param keep `lines`: for people; `hash`: for comparing runs, which is all that thousands of them need. */
  constructor(keep: "hash" | "lines") {
    this.#lines = keep === "lines" ? [] : undefined;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /** 16 hexadecimal digits. Two runs with the same hash have done the same things at the same virtual times. */
  get hash(): string {
    return hex(this.#first) + hex(this.#second);
  }

  /** Empty unless lines are kept. */
  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** @param time virtual milliseconds */
  note(time: number, event: string): void {
    this.#events++;
    // Nanoseconds: a difference that is smaller than that is no difference.
    this.#mix(Math.round((time % 1) * 1e6));
    this.#mix(Math.floor(time));
    for (let i = 0; i < event.length; i++) this.#mix(event.charCodeAt(i));
    this.#lines?.push(`${time.toFixed(3).padStart(12)} ${event}`);
  }

  #mix(value: number): void {
    this.#first = Math.imul(this.#first ^ value, FNV_PRIME);
    this.#second = Math.imul((this.#second << 5) ^ (this.#second >>> 7) ^ value, OTHER_PRIME);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
