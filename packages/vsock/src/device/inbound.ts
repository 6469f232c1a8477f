/**
 * Bytes from the guest, on their way to one handler. In place as long as the handler keeps up; a handler that holds
 * `maxHeads` heads, or one for longer than `holdMs`, gets what follows from host memory, filled up block by block, so
 * that neither the ring nor the number of objects depends on how slow it is. The bytes are bounded by the window, since
 * credit returns with `release`.
 */
import { addressAt, type GuestAddress, guestAddress } from "@toril/memory";
import type { Chain } from "@toril/virtqueue";
import { HEADER_SIZE } from "../wire/header.ts";
import type { GuestBytes } from "./api.ts";
import type { HeldHead, HeldHeads } from "./held-heads.ts";
import type { MutableDeviceStats } from "./stats.ts";

/** Size of a block of host memory for a handler that has fallen behind. */
const BLOCK = 65_536;

const NO_BYTES = new Uint8Array(0);
const NOWHERE = guestAddress(0);

/** Runs out of host memory that a handler may have: one while it is given the next, or as many as heads. */
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
  /** Since when the handler has held a head; -1: it holds none. */
  #heldSince = -1;
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
  add(chain: Chain, bytes: number, heads: HeldHeads): void {
    if (this.#mayHold() && heads.hasRoomFor(chain)) this.#giveInPlace(chain, bytes, heads);
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
    return this.#headsHeld < this.#maxHeads;
  }

  #giveInPlace(chain: Chain, bytes: number, heads: HeldHeads): void {
    const held = heads.hold(chain);
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
      const address = addressAt(chain.address(i), skip);
      skip = 0;
      left -= run;
      if (this.#dropped) this.#owner.released(run);
      else this.#give(new Run(this, run, NO_BYTES, held, address));
    }
    this.#runDone(held);
    // The clock is read only for a handler that did not release at once.
    if (this.#headsHeld > 0 && this.#heldSince < 0) this.#heldSince = this.#owner.now();
  }

  #give(run: Run): void {
    if (run.held !== undefined) run.held.runs++;
    this.#out++;
    if (!this.#owner.deliver(run)) run.revoke();
  }

  /** For a run: the handler has released it. */
  runReleased(length: number, held: HeldHead | undefined): void {
    this.#out--;
    if (held !== undefined) this.#runDone(held);
    this.#owner.released(length);
    this.#deliverBacklog();
  }

  #runDone(held: HeldHead): void {
    held.runs--;
    if (held.runs > 0) return;
    this.#headsHeld--;
    if (this.#headsHeld === 0) this.#heldSince = -1;
    held.heads.giveBack(held);
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
    heads.giveBack(heads.hold(chain));
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
      this.#give(new Run(this, block.end, block.bytes.subarray(0, block.end), undefined, NOWHERE));
    }
    this.#delivering = false;
    if (this.#backlog.length === 0) this.#owner.drained();
  }
}

class Run implements GuestBytes {
  readonly length: number;
  /** The head that it holds; `undefined` for a run in host memory. */
  readonly held: HeldHead | undefined;
  readonly #inbound: Inbound;
  readonly #address: GuestAddress;
  #bytes: Uint8Array;
  #state: "out" | "released" | "revoked" = "out";

  /** @param bytes those of a run in host memory; one in guest memory is viewed when somebody looks. */
  constructor(inbound: Inbound, length: number, bytes: Uint8Array, held: HeldHead | undefined, address: GuestAddress) {
    this.length = length;
    this.held = held;
    this.#inbound = inbound;
    this.#address = address;
    this.#bytes = bytes;
  }

  get bytes(): Uint8Array {
    const { held } = this;
    if (held !== undefined && this.#bytes === NO_BYTES) {
      this.#bytes = held.heads.memory.bytes(this.#address, this.length);
    }
    return this.#bytes;
  }

  /** @throws Error when released twice: the handler's bug. */
  release(): void {
    if (this.#state === "revoked") return;
    if (this.#state === "released") throw new Error("bytes from the guest were released twice");
    this.#state = "released";
    this.#inbound.runReleased(this.length, this.held);
  }

  /** The handler threw: it gets no say in this run any more. */
  revoke(): void {
    const before = this.#state;
    this.#state = "revoked";
    if (before === "out") this.#inbound.runReleased(this.length, this.held);
  }
}
