/** One line on a terminal that says how far long work is; nothing at all elsewhere. */

/** Not oftener than this, in milliseconds: writing costs time that somebody measures. */
const INTERVAL_MS = 100;

export class Progress {
  readonly #write: ((text: string) => void) | undefined;
  readonly #name: string;
  #shownAt = Number.NEGATIVE_INFINITY;
  #shown: "something" | "nothing" = "nothing";

  constructor(
    write: (text: string) => void,
    name: string,
    terminal: "yes" | "no" = process.stderr.isTTY ? "yes" : "no",
  ) {
    this.#write = terminal === "yes" ? write : undefined;
    this.#name = name;
  }

  /** @param share 0 to 1 */
  show(what: string, share: number): void {
    const now = performance.now();
    if (this.#write === undefined || now - this.#shownAt < INTERVAL_MS) return;
    this.#shownAt = now;
    this.#shown = "something";
    this.#write(`\r\x1b[K${this.#name}: ${Math.floor(share * 100)} %, ${what}`);
  }

  /** Clears the line. */
  end(): void {
    if (this.#shown === "something") this.#write?.("\r\x1b[K");
    this.#shown = "nothing";
  }
}
