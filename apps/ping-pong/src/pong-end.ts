/** The end that answers, over a link: what the Node peers run. The guest's is guest.ts, with system calls. */
import { countedMessages, type Job, LENGTH_BYTES, type PongReport, readLength, Signal, writeLength } from "./job.ts";
import { JsonReader, type Link, Outgoing } from "./link.ts";
import { Direction, fill, firstFault, Sink } from "./payload.ts";
import { expectSignal } from "./ping-end.ts";

type Phase = "job" | "warm-up" | "start" | "counted" | "end" | "over";

export class PongEnd {
  readonly #link: Link;
  readonly #out: Outgoing;
  readonly #json = new JsonReader(readLength);
  readonly #sink = new Sink();
  #phase: Phase = "job";
  #job: Job | undefined;
  #message: Uint8Array = new Uint8Array(0);
  #index = 0;
  #total = 0;
  #got = 0;
  #fault: string | undefined;

  constructor(link: Link) {
    this.#link = link;
    this.#out = new Outgoing(link, () => {});
  }

  feed(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += this.#take(bytes, at);
    } catch {
      // Out of step: whoever measures sees the connection go.
      this.#link.close();
    }
  }

  drain(): void {
    this.#out.push();
    this.#sendMore();
  }

  #take(bytes: Uint8Array, at: number): number {
    switch (this.#phase) {
      case "job": {
        const taken = this.#json.take(bytes, at);
        if (this.#json.bytes !== undefined) this.#accept(JSON.parse(Buffer.from(this.#json.bytes).toString()) as Job);
        return taken;
      }
      case "warm-up":
      case "counted":
        return this.#takeMessage(bytes, at);
      case "start":
        expectSignal(bytes, at, Signal.START);
        this.#out.send(Uint8Array.of(Signal.GO));
        this.#begin("counted");
        return 1;
      case "end":
        expectSignal(bytes, at, Signal.END);
        this.#sendReport();
        return 1;
      case "over":
        return bytes.length;
      default:
        return this.#phase satisfies never;
    }
  }

  #accept(job: Job): void {
    this.#job = job;
    this.#message = new Uint8Array(job.size);
    fill(this.#message, Direction.PONG, 0);
    this.#out.send(Uint8Array.of(Signal.READY));
    this.#begin("warm-up");
  }

  #begin(phase: "warm-up" | "counted"): void {
    const job = this.#job;
    if (job === undefined) return;
    this.#phase = phase;
    this.#index = 0;
    this.#total = phase === "warm-up" ? job.warmUp : countedMessages(job);
    if (this.#total === 0) this.#endPhase();
    else if (job.mode === "bulk") this.#sendMore();
  }

  #takeMessage(bytes: Uint8Array, at: number): number {
    const { size, payload } = this.#job as Job;
    const count = Math.min(size - this.#got, bytes.length - at);
    if (payload !== "unread") this.#look(bytes.subarray(at, at + count), payload);
    this.#got += count;
    if (this.#got === size) {
      this.#got = 0;
      this.#sendOne();
      if (this.#index === this.#total) this.#endPhase();
    }
    return count;
  }

  #look(part: Uint8Array, payload: "read" | "checked"): void {
    if (payload === "read") {
      this.#sink.take(part);
      return;
    }
    const fault = firstFault(part, Direction.PING, this.#index, this.#got);
    if (fault >= 0) this.#fault ??= `byte ${fault} of message ${this.#index} arrived with another value`;
  }

  #sendOne(): void {
    if (this.#job?.payload === "checked") {
      // A socket may still have the last one.
      this.#message = new Uint8Array(this.#job.size);
      fill(this.#message, Direction.PONG, this.#index);
    }
    this.#index++;
    this.#out.send(this.#message);
  }

  /** Bulk: as long as the link takes them. */
  #sendMore(): void {
    if (this.#job?.mode !== "bulk" || (this.#phase !== "warm-up" && this.#phase !== "counted")) return;
    while (this.#index < this.#total && this.#out.idle) this.#sendOne();
    if (this.#index === this.#total && this.#out.idle) this.#endPhase();
  }

  #endPhase(): void {
    this.#phase = this.#phase === "warm-up" ? "start" : "end";
  }

  #sendReport(): void {
    const report: PongReport = {
      before: {},
      after: {},
      received: [],
      answered: [],
      ...(this.#fault === undefined ? {} : { fault: this.#fault }),
    };
    const text = Buffer.from(JSON.stringify(report));
    const bytes = new Uint8Array(LENGTH_BYTES + text.length);
    writeLength(bytes, text.length);
    bytes.set(text, LENGTH_BYTES);
    this.#phase = "over";
    this.#out.send(bytes);
  }
}
