/** A hosted core in small, for tests: it polls while there is progress, arms, and sleeps until its doorbell is rung. */
import type { Clock, Doorbell, Pollable } from "@toril/virtio/platform";

export class SleepingLoop implements Doorbell {
  readonly #parts: Pollable[] = [];
  #state: "turning" | "asleep" | "stopped" = "asleep";
  /** Times that it went to sleep. */
  sleeps = 0;

  add(part: Pollable): void {
    this.#parts.push(part);
    this.ring();
  }

  remove(part: Pollable): void {
    this.#parts.splice(this.#parts.indexOf(part) >>> 0, 1);
  }

  ring(): void {
    if (this.#state !== "asleep") return;
    this.#state = "turning";
    setImmediate(() => this.#turn());
  }

  stop(): void {
    this.#state = "stopped";
  }

  #turn(): void {
    if (this.#state === "stopped") return;
    this.#state = "asleep";
    const again = this.#any((part) => part.poll()) || this.#any((part) => part.arm());
    if (again) this.ring();
    else this.sleeps++;
  }

  /** Each of them, also when one has said yes. */
  #any(call: (part: Pollable) => boolean): boolean {
    return this.#parts.map(call).includes(true);
  }
}

export const testClock: Clock = {
  now: () => performance.now(),
  after: (delay, callback) => {
    const timer = setTimeout(callback, delay);
    return { cancel: () => clearTimeout(timer) };
  },
};
