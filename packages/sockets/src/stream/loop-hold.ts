/**
 * Keeps Node's event loop alive for open sockets and servers, as a kernel handle would: they have none. One timer for all;
 * it does nothing.
 */
const NEVER_MS = 2 ** 31 - 1;
let holders = 0;
let timer: ReturnType<typeof setInterval> | undefined;

export class LoopHold {
  #state: "idle" | "held" | "open-unref" = "idle";

  /** The object is open from now on. */
  open(): void {
    if (this.#state === "idle") this.#hold();
  }

  ref(): void {
    if (this.#state === "open-unref") this.#hold();
  }

  /** Also before `open`: then the object opens without holding the loop. */
  unref(): void {
    this.close();
    this.#state = "open-unref";
  }

  close(): void {
    if (this.#state === "held") {
      holders--;
      if (holders === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    }
    this.#state = "idle";
  }

  get hasRef(): boolean {
    return this.#state === "held";
  }

  #hold(): void {
    this.#state = "held";
    holders++;
    timer ??= setInterval(() => {}, NEVER_MS);
  }
}
