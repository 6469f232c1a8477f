/**
 * How a side tells the other whether it wants to be notified. The driver does it in the available ring (§2.7.7), the
 * device in the used ring (§2.7.10), "in a manner analogous": so both use this.
 *
 * Suppression is advice: a notification may come all the same, and both sides must bear it.
 */
import { DO_NOT_NOTIFY } from "./numbers.ts";
import { indexBefore } from "./ring-index.ts";

/** The fields of the ring that this side writes. */
export interface SuppressionFields {
  storeFlags(flags: number): void;
  storeEvent(index: number): void;
}

export class NotificationSwitch {
  readonly #fields: SuppressionFields;
  readonly #eventIdx: boolean;
  #state: "armed" | "suppressed" = "armed";
  /** EVENT_IDX: the entry at whose writing the other side notifies. */
  #event: number;

  /** A fresh ring is zero: it asks to be notified, with EVENT_IDX of the first entry. */
  constructor(fields: SuppressionFields, eventIdx: boolean, firstIndex: number) {
    this.#fields = fields;
    this.#eventIdx = eventIdx;
    this.#event = firstIndex;
  }

  /** Asks to be notified of the entry at `next`, the first that this side has not taken. A full barrier. */
  arm(next: number): void {
    this.#state = "armed";
    this.#event = next;
    // §2.7.7.1, §2.7.10.2: with EVENT_IDX "MUST set flags to 0", which it is from the start.
    if (this.#eventIdx) this.#fields.storeEvent(next);
    else this.#fields.storeFlags(0);
  }

  /** Asks not to be notified; `next` as in `arm`. */
  suppress(next: number): void {
    if (this.#state === "suppressed") return;
    this.#state = "suppressed";
    if (!this.#eventIdx) this.#fields.storeFlags(DO_NOT_NOTIFY);
    // An event that lies behind fires only after the index has gone once round; one still ahead is moved behind.
    else if (this.#event === next) this.#fields.storeEvent(indexBefore(next));
  }

  /** The rings were zeroed. */
  reset(): void {
    this.#state = "armed";
    this.#event = 0;
  }
}
