/** Rounds of measurements that are interleaved, so that a noisy minute hits all that are compared. */
import { median } from "./report.ts";

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export class Samples {
  readonly #samples = new Map<string, number[]>();

  add(name: string, value: number): void {
    const samples = this.#samples.get(name);
    if (samples === undefined) this.#samples.set(name, [value]);
    else samples.push(value);
  }

  of(name: string): Spread {
    const values = this.#samples.get(name) ?? [];
    return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
  }
}

/** Says on a terminal how far a benchmark is; nothing when stderr is something else. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(text === "" ? "\r\x1b[K" : `\r\x1b[K${text}`);
}
