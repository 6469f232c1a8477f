/**
 * The end that measures, over any link: the vsock device's stream, a Unix or TCP socket, a MessagePort. It is fed with
 * what arrives. Between two messages it does as little as it can: one look at the clock, and the next message goes out.
 */
import {
  type Counters,
  countedMessages,
  type Job,
  LENGTH_BYTES,
  type PingReport,
  type PongReport,
  readLength,
  Signal,
  writeLength,
} from "./job.ts";
import { JsonReader, type Link, Outgoing } from "./link.ts";
import { Direction, fill, firstFault, Sink } from "./payload.ts";

export interface PingEndOptions {
  readonly job: Job;
  readonly link: Link;
  /** Milliseconds, the same clock as the pong end's when runs are traced. */
  readonly now: () => number;
  /** This side's counters. */
  readonly counters: () => Counters;
}

type Phase = "job" | "warm-up" | "go" | "counted" | "report" | "over";

export class PingEnd {
  readonly report: Promise<PingReport>;
  readonly #options: PingEndOptions;
  readonly #job: Job;
  readonly #out: Outgoing;
  readonly #message: Uint8Array;
  readonly #sink = new Sink();
  readonly #samples: Float64Array;
  readonly #begun: number[] = [];
  readonly #sent: number[] = [];
  readonly #ended: number[] = [];
  readonly #json = new JsonReader(readLength);
  #resolve: (report: PingReport) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #phase: Phase = "job";
  /** Messages that have arrived in this phase, and how many it has. */
  #index = 0;
  #total = 0;
  /** Bytes of the present message that have arrived. */
  #got = 0;
  #last = 0;
  #first = 0;
  #before: Counters = {};
  #after: Counters = {};

  /** `start` sends the job. */
  constructor(options: PingEndOptions) {
    const { job, link, now } = options;
    this.#options = options;
    this.#job = job;
    this.#message = new Uint8Array(job.size);
    fill(this.#message, Direction.PING, 0);
    this.#samples = new Float64Array(job.count);
    this.#out = new Outgoing(link, () => {
      if (job.trace === "on" && this.#phase === "counted") this.#sent.push(now());
    });
    this.report = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.report.catch(() => {});
  }

  start(): void {
    const text = Buffer.from(JSON.stringify(this.#job));
    const bytes = new Uint8Array(LENGTH_BYTES + text.length);
    writeLength(bytes, text.length);
    bytes.set(text, LENGTH_BYTES);
    this.#out.send(bytes);
  }

  /** Bytes have arrived. They may be gone when this returns. */
  feed(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length && this.#phase !== "over"; ) at += this.#take(bytes, at);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The link takes bytes again. */
  drain(): void {
    this.#out.push();
  }

  /** The link is gone, or the other end does not keep to the protocol. Does nothing once the report is there. */
  fail(error: Error): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#reject(error);
    this.#options.link.close();
  }

  #take(bytes: Uint8Array, at: number): number {
    switch (this.#phase) {
      case "warm-up":
      case "counted":
        return this.#takeMessage(bytes, at);
      case "job":
        expectSignal(bytes, at, Signal.READY);
        this.#begin("warm-up", this.#job.warmUp);
        return 1;
      case "go":
        expectSignal(bytes, at, Signal.GO);
        this.#before = this.#options.counters();
        this.#begin("counted", countedMessages(this.#job));
        return 1;
      case "report": {
        const taken = this.#json.take(bytes, at);
        if (this.#json.bytes !== undefined) this.#finish(this.#json.bytes);
        return taken;
      }
      case "over":
        return bytes.length;
      default:
        return this.#phase satisfies never;
    }
  }

  #begin(phase: "warm-up" | "counted", total: number): void {
    this.#phase = phase;
    this.#index = 0;
    this.#total = total;
    this.#last = this.#options.now();
    if (total === 0) this.#endPhase();
    else if (this.#job.mode === "rtt") this.#sendMessage();
  }

  #sendMessage(): void {
    // What the first messages of a phase say is the same in each: the pong end counts as this one does.
    if (this.#job.payload === "checked") fill(this.#message, Direction.PING, this.#index);
    if (this.#job.trace === "on" && this.#phase === "counted") this.#begun.push(this.#last);
    this.#out.send(this.#message);
  }

  #takeMessage(bytes: Uint8Array, at: number): number {
    const count = Math.min(this.#job.size - this.#got, bytes.length - at);
    if (this.#job.payload !== "unread") {
      this.#look(count === bytes.length ? bytes : bytes.subarray(at, at + count));
    }
    this.#got += count;
    if (this.#got === this.#job.size) this.#arrived();
    return count;
  }

  #look(part: Uint8Array): void {
    if (this.#job.payload === "read") {
      this.#sink.take(part);
      return;
    }
    const fault = firstFault(part, Direction.PONG, this.#index, this.#got);
    if (fault >= 0) throw new Error(`byte ${fault} of message ${this.#index} arrived with another value`);
  }

  #arrived(): void {
    const now = this.#options.now();
    const index = this.#index++;
    this.#got = 0;
    if (this.#phase === "counted") {
      if (index > 0) this.#samples[index - 1] = now - this.#last;
      else this.#first = now;
      if (this.#job.trace === "on") this.#ended.push(now);
    }
    this.#last = now;
    if (this.#index === this.#total) this.#endPhase();
    else if (this.#job.mode === "rtt") this.#sendMessage();
  }

  #endPhase(): void {
    const counted = this.#phase === "counted";
    if (counted) this.#after = this.#options.counters();
    this.#phase = counted ? "report" : "go";
    this.#out.send(Uint8Array.of(counted ? Signal.END : Signal.START));
  }

  #finish(json: Uint8Array): void {
    const pong = JSON.parse(Buffer.from(json).toString()) as PongReport;
    if (pong.fault !== undefined) {
      this.fail(new Error(pong.fault));
      return;
    }
    this.#phase = "over";
    this.#resolve({
      before: this.#before,
      after: this.#after,
      samples: this.#samples,
      elapsedMs: this.#last - this.#first,
      messages: this.#job.count,
      begun: this.#begun,
      sent: this.#sent,
      ended: this.#ended,
      pong,
    });
    this.#options.link.close();
  }
}

export function expectSignal(bytes: Uint8Array, at: number, signal: number): void {
  if (bytes[at] === signal) return;
  throw new Error(`a byte ${bytes[at]} where ${signal} was due: the other end is out of step`);
}
