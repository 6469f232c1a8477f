/** Reads the body of the current request out of the connection's input: by length, or chunked. */
import { Errno, SystemError } from "@toril/virtio/platform";
import { ChunkedDecoder } from "./chunked.ts";
import type { Deadline } from "./deadline.ts";
import { HttpError } from "./failure.ts";
import type { Framing } from "./framing.ts";
import type { Input } from "./input.ts";
import type { ServerLimits } from "./limits.ts";

/** `broken`: where the body ends is not known any more; the connection cannot be kept. */
type Mode = "none" | "length" | "chunked" | "broken";

export class BodyReader {
  /** What stands between the client and its body. */
  expect: "nothing" | "100-continue" = "nothing";
  readonly #input: Input;
  readonly #limits: ServerLimits;
  readonly #deadline: Deadline;
  readonly #sendContinue: () => Promise<void> | undefined;
  #decoder: ChunkedDecoder | undefined;
  #mode: Mode = "none";
  /** Bytes to come, in the mode `length`. */
  #left = 0;
  /** Bytes read, in the mode `chunked`. */
  #taken = 0;
  /** Milliseconds that were spent waiting for this body. */
  #waitedMs = 0;
  readonly #now: () => number;

  constructor(
    input: Input,
    limits: ServerLimits,
    deadline: Deadline,
    now: () => number,
    sendContinue: () => Promise<void> | undefined,
  ) {
    this.#input = input;
    this.#limits = limits;
    this.#deadline = deadline;
    this.#now = now;
    this.#sendContinue = sendContinue;
  }

  begin(framing: Framing): void {
    this.#mode = framing.body;
    this.#left = framing.contentLength;
    this.#taken = 0;
    this.#waitedMs = 0;
    this.expect = framing.body === "none" ? "nothing" : framing.expect;
    if (framing.body === "chunked") this.#decoder = new ChunkedDecoder(this.#limits);
  }

  /** Nothing of the body is left unread. */
  get finished(): boolean {
    return this.#mode === "none";
  }

  /** Whether the rest is so short that reading it costs less than a new connection. */
  get worthDraining(): boolean {
    if (this.finished) return true;
    if (this.expect === "100-continue" || this.#mode === "broken") return false;
    return this.#mode === "chunked" || this.#left <= this.#limits.drainBytes;
  }

  /**
   * The next run of bytes, valid until the next read; `undefined` at the end.
   * @throws HttpError 400, 413, 431 for a body that is not well formed, cut short or too long; SystemError when the connection ends
   */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const run = this.#next();
      if (run !== undefined) return run;
      if (this.finished) return undefined;
      await this.#wait();
    }
  }

  /** Reads and drops the rest; `false` when it is too long for that, or broken. */
  async drain(): Promise<boolean> {
    let dropped = 0;
    try {
      for (let run = await this.read(); run !== undefined; run = await this.read()) {
        dropped += run.length;
        if (dropped > this.#limits.drainBytes) return false;
      }
      return true;
    } catch (error) {
      if (error instanceof HttpError) return false;
      throw error;
    }
  }

  /** What can be had without waiting. */
  #next(): Uint8Array | undefined {
    const input = this.#input;
    if (this.#mode === "broken") throw new HttpError(400, "the body is not well formed");
    if (this.#mode === "none" || input.empty) return undefined;
    this.expect = "nothing";
    if (this.#mode === "length") {
      const start = input.start;
      input.start += Math.min(this.#left, input.end - start);
      this.#left -= input.start - start;
      if (this.#left === 0) this.#mode = "none";
      return input.bytes.subarray(start, input.start);
    }
    const decoder = this.#decoder;
    if (decoder === undefined) return undefined;
    while (decoder.state === "reading" && !input.empty) {
      input.start = decoder.feed(input.bytes, input.start, input.end);
      if (decoder.dataEnd === decoder.dataStart) continue;
      this.#taken += decoder.dataEnd - decoder.dataStart;
      if (this.#taken > this.#limits.bodyBytes)
        throw this.#broken(413, `the body is longer than ${this.#limits.bodyBytes} bytes`);
      return input.bytes.subarray(decoder.dataStart, decoder.dataEnd);
    }
    if (decoder.failure !== undefined) throw this.#broken(decoder.failure.status, decoder.failure.reason);
    if (decoder.state === "done") this.#mode = "none";
    return undefined;
  }

  #broken(status: number, reason: string): HttpError {
    this.#mode = "broken";
    return new HttpError(status, reason);
  }

  async #wait(): Promise<void> {
    if (this.expect === "100-continue") {
      this.expect = "nothing";
      await this.#sendContinue();
    }
    let count = this.#input.tryFill();
    if (count === -Errno.EAGAIN) {
      const { bodyTimeoutMs, bodyTotalTimeoutMs } = this.#limits;
      const before = this.#now();
      this.#deadline.set("body", Math.max(0, Math.min(bodyTimeoutMs, bodyTotalTimeoutMs - this.#waitedMs)));
      count = await this.#input.fill();
      this.#deadline.clear();
      this.#waitedMs += this.#now() - before;
    }
    if (count < 0) throw new SystemError(-count, "recv");
    if (count === 0) throw this.#broken(400, "the client ended in the middle of its request body");
  }
}
