/**
 * What the two ends of a measurement say to each other, on any stream of bytes. Whoever measures (the "ping" end)
 * connects; the other one (the "pong" end) answers.
 *
 *     ping: length (4 bytes, little endian), the job as JSON
 *     pong: READY
 *     warm-up messages: in `rtt` mode back and forth, in `bulk` mode pong → ping
 *     ping: START        everything of the warm-up has arrived
 *     pong: GO           its counters are read right behind this byte; ping's when it comes
 *     counted messages, as in the warm-up
 *     ping: END          pong reads its counters again
 *     pong: length, its report as JSON; then both close
 */
import type { TxPath } from "@toril/vsock";

/** `rtt`: N bytes there and N back. `bulk`: N bytes at a time from pong to ping, which is the way of the transmit paths. */
export type Mode = "rtt" | "bulk";

/**
 * What happens to a payload that has arrived. `unread`: nothing. `read`: each of its bytes is loaded. `checked`: each is
 * compared with what must be there; such runs are not timed.
 */
export type Payload = "unread" | "read" | "checked";

/** How the guest receives: into a buffer of its own, there and on through two more, or where the device has put the bytes. */
export type Receive = "copy" | "three-copies" | "borrow";

export interface Job {
  readonly mode: Mode;
  /** Bytes of a message. */
  readonly size: number;
  readonly warmUp: number;
  /** Messages that are measured. */
  readonly count: number;
  readonly payload: Payload;
  readonly tx: TxPath;
  readonly receive: Receive;
  /** Whether both ends note when they have done what: such runs are not among the figures, for clocks cost time. */
  readonly trace: "off" | "on";
}

/** Counters by part, as a machine tells them. */
export interface Counters {
  readonly [name: string]: number | string | Counters;
}

export interface PongReport {
  readonly before: Counters;
  readonly after: Counters;
  /** Of traced messages: when the last byte had been received, and when the answer had been handed over. Milliseconds. */
  readonly received: readonly number[];
  readonly answered: readonly number[];
  /** What was wrong with a payload. */
  readonly fault?: string;
}

export interface PingReport {
  readonly before: Counters;
  readonly after: Counters;
  /**
   * Milliseconds of each counted message but the first, which finds the other end at its counters: of the round trip, or
   * in bulk mode since the message before.
   */
  readonly samples: Float64Array;
  /** Milliseconds from the first to the last counted message, and how many that were. */
  readonly elapsedMs: number;
  readonly messages: number;
  /** Of traced messages: when the first byte went out, when the last one had been handed over, when the answer was there. */
  readonly begun: readonly number[];
  readonly sent: readonly number[];
  readonly ended: readonly number[];
  readonly pong: PongReport;
}

/** The one-byte signals: far from what JSON begins with, so that a mix-up shows. */
export const Signal = { READY: 0xa1, START: 0xa2, GO: 0xa3, END: 0xa4 } as const;

export const LENGTH_BYTES = 4;
/** A job is short; a report may have a few hundred traced times. */
const MAX_JSON = 1_000_000;

/** The counted messages are one more than what was asked for: see PingReport.samples. */
export function countedMessages(job: Job): number {
  return job.count + 1;
}

export function writeLength(target: Uint8Array, length: number): void {
  for (let i = 0; i < LENGTH_BYTES; i++) target[i] = (length >>> (8 * i)) & 0xff;
}

/** @throws RangeError for a length that no peer of ours sends */
export function readLength(bytes: Uint8Array): number {
  let length = 0;
  for (let i = LENGTH_BYTES - 1; i >= 0; i--) length = length * 256 + (bytes[i] ?? 0);
  if (length > MAX_JSON) throw new RangeError(`a length of ${length} bytes: the other end is out of step`);
  return length;
}
