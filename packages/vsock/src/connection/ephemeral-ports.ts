/** Ports for those who do not care which: handed out in turn, and again once they are free. */
import { type Port, port } from "../address.ts";

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** IANA's dynamic range; out of the way of the well-known ports that services use. */
export const EPHEMERAL_PORTS: PortRange = { first: 49_152, last: 65_535 };

export class EphemeralPorts {
  readonly #first: number;
  readonly #count: number;
  #next = 0;

  /** @throws RangeError when the range is empty or not made of ports. */
  constructor(range: PortRange) {
    this.#first = port(range.first);
    this.#count = port(range.last) - this.#first + 1;
    if (this.#count < 1) throw new RangeError(`no ports from ${range.first} to ${range.last}: swap them`);
  }

  /** The next port that is free; the one used longest ago first, so that a pair is not used again at once. */
  take(inUse: (port: number) => boolean): Port | undefined {
    for (let tried = 0; tried < this.#count; tried++) {
      const candidate = this.#first + this.#next;
      this.#next = (this.#next + 1) % this.#count;
      if (!inUse(candidate)) return port(candidate);
    }
    return undefined;
  }
}
