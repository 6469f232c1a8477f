/**
 * Buffers that users have lent. One send may lend several runs, and each run may be cut into several packets; the device
 * returns packets in any order. A loan is one send; it is over when no packet of it is in the ring and none will follow.
 *
 * There are two ways to hear of that. The callback of a send comes once, when its own loan is over. And every connection counts:
 * `returned` says how many of its loans are over, counted in the order in which they were made, as the notifications of
 * Linux' MSG_ZEROCOPY are. Whoever sends from a ring of buffers needs nothing but that number, and no callback.
 */
import type { DmaBuffer, GuestAddress } from "@toril/memory";
import { Fifo } from "../connection/fifo.ts";
import { SendChunk } from "./packet.ts";

/** Objects that are kept to be used again; more than these are left to the collector. */
const KEPT = 1024;

/** One send that has lent something. */
export class Loan {
  account: LoanAccount;
  onReturned: (() => void) | undefined;
  /** Runs that are not back; and one for the send itself, while it still adds some. */
  open = 0;

  constructor(account: LoanAccount) {
    this.account = account;
  }
}

/** The loans of one connection. Both counters run free modulo 2^32. */
export class LoanAccount {
  made = 0;
  returned = 0;
  /** Those that are not counted as returned, oldest first: some may be over already, behind one that is not. */
  readonly waiting: Fifo<Loan> = new Fifo();
  /** Tells the user that `returned` has grown. */
  readonly onProgress: () => void;

  constructor(onProgress: () => void) {
    this.onProgress = onProgress;
  }
}

export class LoanDesk {
  readonly #loans: Loan[] = [];
  readonly #chunks: SendChunk[] = [];
  readonly #call: (onReturned: () => void) => void;

  /** @param call has a user's callback called, when the driver is done with its own work. */
  constructor(call: (onReturned: () => void) => void) {
    this.#call = call;
  }

  /** A send begins to lend: it will lend something, and then `close` the loan. */
  open(account: LoanAccount, onReturned: (() => void) | undefined): Loan {
    const loan = this.#loans.pop() ?? new Loan(account);
    loan.account = account;
    loan.onReturned = onReturned;
    loan.open = 1;
    account.made = (account.made + 1) >>> 0;
    account.waiting.push(loan);
    return loan;
  }

  /** Lends a run of a buffer. @throws DmaBufferError when the buffer may not be lent to read: then nothing has changed. */
  lend(loan: Loan, buffer: DmaBuffer, address: GuestAddress, length: number): SendChunk {
    buffer.lendToRead();
    loan.open++;
    const chunk = this.#chunks.pop() ?? new SendChunk(undefined, address);
    chunk.buffer = buffer;
    chunk.loan = loan;
    chunk.address = address;
    chunk.begin(length);
    return chunk;
  }

  /** The device has used the last of a lent run, or will never see it. Once for each run. */
  takeBack(chunk: SendChunk): void {
    const { buffer, loan } = chunk;
    if (buffer === undefined || loan === undefined) throw new TypeError("a lent run came back twice");
    chunk.buffer = undefined;
    chunk.loan = undefined;
    if (this.#chunks.length < KEPT) this.#chunks.push(chunk);
    buffer.giveBack();
    this.close(loan);
  }

  /** The send has lent all that it will, or one run of it is back. */
  close(loan: Loan): void {
    loan.open--;
    if (loan.open > 0) return;
    const { account, onReturned } = loan;
    loan.onReturned = undefined;
    if (onReturned !== undefined) this.#call(onReturned);
    let progress = false;
    for (let first = account.waiting.first; first !== undefined && first.open === 0; first = account.waiting.first) {
      account.waiting.shift();
      account.returned = (account.returned + 1) >>> 0;
      progress = true;
      if (this.#loans.length < KEPT) this.#loans.push(first);
    }
    if (progress) account.onProgress();
  }
}
