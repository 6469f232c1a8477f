/** Says when nothing has happened for a while. It does not keep the process alive. */
export class IdleTimer {
  /** Milliseconds; `undefined`: off. */
  milliseconds: number | undefined = undefined;
  readonly #onIdle: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What the timer was made for. */
  #madeFor = 0;

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** @param milliseconds 0 turns it off. @throws RangeError */
  set(milliseconds: number): void {
    if (!Number.isFinite(milliseconds) || milliseconds < 0) {
      throw new RangeError(`a timeout of ${milliseconds} ms: use a number from 0 up`);
    }
    this.milliseconds = milliseconds === 0 ? undefined : milliseconds;
    if (this.milliseconds === undefined) this.stop();
    else this.touch();
  }

  /** Something happened: it begins anew. */
  touch(): void {
    const { milliseconds } = this;
    if (milliseconds === undefined) return;
    if (this.#timer !== undefined && this.#madeFor === milliseconds) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#madeFor = milliseconds;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onIdle();
    }, milliseconds);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
