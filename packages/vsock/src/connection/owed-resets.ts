/**
 * RSTs owed to peers that we have no connection with (§5.10.6.2, §5.10.6.5). Bounded: the "additional resources" of
 * §5.10.6.1; when they are exhausted, their owner stops receiving until it can send again.
 */
import type { PacketHeader } from "../wire/header.ts";
import { Op } from "../wire/ops.ts";

/** Enough for a burst while the ring is full; 64 small records. */
export const MAX_OWED_RESETS = 64;

const WORDS = 5;

export class OwedResets {
  readonly #records: Uint32Array = new Uint32Array(MAX_OWED_RESETS * WORDS);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get full(): boolean {
    return this.#length === MAX_OWED_RESETS;
  }

  /** Owes an RST for a packet. `false` when there is no room, or it was an RST: that is never answered. */
  add(packet: PacketHeader): boolean {
    if (packet.op === Op.Rst || this.full) return false;
    const at = ((this.#head + this.#length) % MAX_OWED_RESETS) * WORDS;
    this.#records[at] = packet.srcCid;
    this.#records[at + 1] = packet.srcPort;
    this.#records[at + 2] = packet.dstPort;
    this.#records[at + 4] = packet.dstCid;
    this.#records[at + 3] = packet.type; // §5.10.6.2: an unknown type is answered too, in kind.
    this.#length++;
    return true;
  }

  /** Fills `header` with the oldest, from whom its packet was for. `false` when none is owed. */
  take(header: PacketHeader): boolean {
    if (this.#length === 0) return false;
    const at = this.#head * WORDS;
    header.dstCid = this.#records[at] ?? 0;
    header.srcCid = this.#records[at + 4] ?? 0;
    header.dstPort = this.#records[at + 1] ?? 0;
    header.srcPort = this.#records[at + 2] ?? 0;
    header.type = this.#records[at + 3] ?? 0;
    header.op = Op.Rst;
    header.len = 0;
    header.flags = 0;
    header.bufAlloc = 0;
    header.fwdCnt = 0;
    this.#head = (this.#head + 1) % MAX_OWED_RESETS;
    this.#length--;
    return true;
  }

  clear(): void {
    this.#length = 0;
  }
}
