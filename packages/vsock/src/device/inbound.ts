/**
 * Bytes from the guest, on their way to one handler. In place as long as the handler keeps up; a handler that holds
 * `maxHeads` heads, or one for longer than `holdMs`, gets what follows from host memory, filled up block by block, so
 * that neither the ring nor the number of objects depends on how slow it is. The bytes are bounded by the window, since
 * credit returns with `release`.
 */
import { addressAt, type GuestMemory } from "@toril/memory";
import type { Chain } from "@toril/virtqueue";
import { HEADER_SIZE } from "../wire/header.ts";
import type { GuestBytes } from "./api.ts";
import type { HeldHead, HeldHeads } from "./held-heads.ts";
import type { MutableDeviceStats } from "./stats.ts";

/** Size of a block of host memory for a handler that has fallen behind. */
const BLOCK = 65_536;

/** A handler may have one run while it is given the next. */
const MIN_RUNS = 2;

interface Block {
  readonly bytes: Uint8Array;
  end: number;
}

export interface InboundOwner {
  readonly stats: MutableDeviceStats;
  now(): number;
  /** Calls the handler. `false` when it threw. */
  deliver(chunk: GuestBytes): boolean;
  /** The handler has released this many bytes. */
  released(bytes: number): void;
  /** Nothing waits here any more. */
  drained(): void;
}

export class Inbound {
  readonly #owner: InboundOwner;
  readonly #maxHeads: number;
  readonly #maxRuns: number;
  readonly #holdMs: number;
  #backlog: Block[] = [];
  /** Runs that the handler has not released. */
  #out = 0;
  #headsHeld = 0;
  #heldSince = 0;
  #slow = false;
  #delivering = false;
  #dropped = false;

  /** @param maxHeads heads that the handler may hold; 0: everything is copied */
  constructor(owner: InboundOwner, maxHeads: number, holdMs: number) {
    this.#owner = owner;
    this.#maxHeads = maxHeads;
    this.#maxRuns = Math.max(MIN_RUNS, maxHeads);
    this.#holdMs = holdMs;
  }

  /** Whether bytes wait that the handler has not been given. */
  get hasBacklog(): boolean {
    return this.#backlog.length > 0;
  }

  /**
   * Takes the payload of a packet: `bytes` of the chain's readable part, behind the header. The head is this object's
   * business from now on.
   */
  add(chain: Chain, bytes: number, memory: GuestMemory, heads: HeldHeads): void {
    if (this.#mayHold() && heads.hasRoomFor(chain)) this.#giveInPlace(chain, bytes, memory, heads);
    else this.#copy(chain, bytes, heads);
  }

  /** The handler wants no more: what waits is dropped. How many bytes that were. */
  drop(): number {
    let bytes = 0;
    for (const block of this.#backlog) bytes += block.end;
    this.#backlog = [];
    this.#dropped = true;
    return bytes;
  }

  #mayHold(): boolean {
    if (this.#out === 0) {
      this.#slow = false;
    } else if (!this.#slow && this.#headsHeld > 0 && this.#owner.now() - this.#heldSince > this.#holdMs) {
      this.#slow = true;
    }
    if (this.#slow || this.#backlog.length > 0) return false;
    return this.#headsHeld < this.#maxHeads && this.#out < this.#maxRuns;
  }

  #giveInPlace(chain: Chain, bytes: number, memory: GuestMemory, heads: HeldHeads): void {
    const held = heads.hold(chain, this.#owner.now());
    if (this.#headsHeld === 0) this.#heldSince = held.since;
    this.#headsHeld++;
    this.#owner.stats.bytesInPlace += bytes;
    held.runs = 1; // ours, until all runs are out: a handler may release each at once
    let skip = HEADER_SIZE;
    let left = bytes;
    for (let i = 0; i < chain.readableCount && left > 0; i++) {
      const length = chain.length(i);
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const run = Math.min(length - skip, left);
      const view = memory.bytes(addressAt(chain.address(i) as ReturnType<typeof addressAt>, skip), run);
      skip = 0;
      left -= run;
      if (this.#dropped) this.#owner.released(run);
      else this.#give(view, run, held, heads);
    }
    this.#runDone(held, heads);
  }

  #give(bytes: Uint8Array, length: number, held: HeldHead | undefined, heads: HeldHeads | undefined): void {
    if (held !== undefined) held.runs++;
    this.#out++;
    const run = new Run(bytes, () => {
      this.#out--;
      if (held !== undefined && heads !== undefined) this.#runDone(held, heads);
      this.#owner.released(length);
      this.#deliverBacklog();
    });
    if (!this.#owner.deliver(run)) run.revoke();
  }

  #runDone(held: HeldHead, heads: HeldHeads): void {
    held.runs--;
    if (held.runs > 0) return;
    this.#headsHeld--;
    heads.giveBack(held);
  }

  #copy(chain: Chain, bytes: number, heads: HeldHeads): void {
    let done = 0;
    while (done < bytes) {
      const block = this.#blockFor(bytes - done);
      const count = Math.min(bytes - done, block.bytes.length - block.end);
      chain.read(HEADER_SIZE + done, block.bytes.subarray(block.end, block.end + count));
      block.end += count;
      done += count;
    }
    this.#owner.stats.bytesCopiedToHost += bytes;
    const held = heads.hold(chain, 0);
    heads.giveBack(held);
    this.#deliverBacklog();
  }

  #blockFor(bytes: number): Block {
    const last = this.#backlog[this.#backlog.length - 1];
    if (last !== undefined && last.end < last.bytes.length) return last;
    // Made to measure when the handler takes it at once, else room for what follows.
    const block: Block = { bytes: new Uint8Array(this.#out < this.#maxRuns ? bytes : BLOCK), end: 0 };
    this.#backlog.push(block);
    return block;
  }

  #deliverBacklog(): void {
    if (this.#delivering) return; // a handler that releases at once: the loop below goes on
    this.#delivering = true;
    while (this.#out < this.#maxRuns) {
      const block = this.#backlog.shift();
      if (block === undefined) break;
      this.#give(block.bytes.subarray(0, block.end), block.end, undefined, undefined);
    }
    this.#delivering = false;
    if (this.#backlog.length === 0) this.#owner.drained();
  }
}

class Run implements GuestBytes {
  readonly bytes: Uint8Array;
  #release: (() => void) | undefined;
  #revoked = false;

  constructor(bytes: Uint8Array, release: () => void) {
    this.bytes = bytes;
    this.#release = release;
  }

  /** @throws Error when released twice: the handler's bug. */
  release(): void {
    const release = this.#release;
    if (this.#revoked) return;
    if (release === undefined) throw new Error("bytes from the guest were released twice");
    this.#release = undefined;
    release();
  }

  /** The handler threw: it gets no say in this run any more. */
  revoke(): void {
    const release = this.#release;
    this.#revoked = true;
    this.#release = undefined;
    release?.();
  }
}
