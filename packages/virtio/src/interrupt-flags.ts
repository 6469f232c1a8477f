/**
 * The usual way for a driver to take interrupts: note them and ring the loop; `poll` of the driver does the work. So a
 * device that interrupts never runs the driver from inside its own call, on whatever transport.
 */
import type { Doorbell } from "./platform/index.ts";
import type { InterruptHandler } from "./transport.ts";

export class InterruptFlags implements InterruptHandler {
  readonly #doorbell: Doorbell | undefined;
  #queueUsed = false;
  #configChanged = false;
  /** Used buffer notifications so far. */
  received = 0;

  /** @param doorbell of the loop that polls the driver; none when that loop never sleeps. */
  constructor(doorbell?: Doorbell) {
    this.#doorbell = doorbell;
  }

  queueUsed(_queueIndex: number): void {
    this.received++;
    this.#queueUsed = true;
    this.#doorbell?.ring();
  }

  configChanged(): void {
    this.#configChanged = true;
    this.#doorbell?.ring();
  }

  /** Whether some queue was reported used since the last call. */
  takeQueueUsed(): boolean {
    const noted = this.#queueUsed;
    this.#queueUsed = false;
    return noted;
  }

  /** Whether a configuration change was reported since the last call: re-read config space and the status. */
  takeConfigChanged(): boolean {
    const noted = this.#configChanged;
    this.#configChanged = false;
    return noted;
  }
}
