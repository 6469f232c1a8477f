/**
 * The driver's interrupts: noted, and acted upon in `poll`, as all drivers do. While nobody else polls the driver (it is
 * being made, or closed), it polls itself: after each interrupt, and now and then in case none comes.
 */
import { InterruptFlags } from "@toril/virtio";
import type { Clock, Pollable } from "@toril/virtio/platform";

/** Milliseconds between looks while the driver polls itself: only where interrupts are polled for, too, does it matter. */
const SELF_POLL_MS = 1;

export class DriverInterrupts extends InterruptFlags {
  #self: Pollable | undefined;

  override queueUsed(queueIndex: number): void {
    super.queueUsed(queueIndex);
    this.#pollSoon();
  }

  override configChanged(): void {
    super.configChanged();
    this.#pollSoon();
  }

  /** Polls `target` until `work` settles. */
  async drive<T>(target: Pollable, clock: Clock, work: Promise<T>): Promise<T> {
    this.#self = target;
    const look = (): void => {
      if (this.#self !== target) return;
      this.#pollNow();
      clock.after(SELF_POLL_MS, look);
    };
    look();
    try {
      return await work;
    } finally {
      this.#self = undefined;
    }
  }

  /** Not from within the interrupt: the device may be in the middle of something. */
  #pollSoon(): void {
    if (this.#self !== undefined) void Promise.resolve().then(() => this.#pollNow());
  }

  #pollNow(): void {
    while (this.#self?.poll() === true);
    if (this.#self?.arm() === true) this.#self.poll();
  }
}
