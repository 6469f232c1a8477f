/**
 * A client on the host's side of a connection: it writes in pieces of any size, reads as slowly as it likes, keeps what it
 * was given for a while, and breaks off where the seed says so.
 */
import type { SeededRandom } from "@toril/kernel";
import { port } from "@toril/vsock";
import type { GuestBytes, GuestStream, HostHandler } from "@toril/vsock/device";
import { between, once, type Visitor, type World } from "./world.ts";

/** How it ends before its time: after so many bytes received, or so many milliseconds. */
type BreakOff = {
  readonly how: "reset" | "half-close" | "close-receive";
  readonly afterBytes: number;
  readonly afterMs: number;
};

/** Chunks that a slow client holds at most have to be given back some time: the longest, in virtual milliseconds. */
const LONGEST_HOLD_MS = 400;
/** Pauses of one client, all together: less than any server's patience (30 s). */
const MAX_PAUSES = 30;

export abstract class Client implements Visitor, HostHandler {
  readonly name: string;
  readonly finished: Promise<void>;
  protected readonly world: World;
  protected readonly random: SeededRandom;
  protected received = 0;
  readonly #port: number;
  readonly #breakOff: BreakOff | undefined;
  #finish: () => void = () => {};
  #stream: GuestStream | undefined;
  #state: "idle" | "connecting" | "open" | "over" = "idle";
  /** What is to be written, in order. */
  readonly #out: Uint8Array[] = [];
  #outOffset = 0;
  #wantsEnd = false;
  #ended = false;
  readonly #in: GuestBytes[] = [];
  #inEnded = false;
  #paused = false;
  #pauses = 0;
  #brokenOff: BreakOff["how"] | undefined;

  constructor(world: World, name: string, guestPort: number) {
    this.world = world;
    this.name = name;
    this.#port = guestPort;
    this.random = world.simulation.random(name);
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    if (world.faults.has("aborts") && once(this.random, 2)) {
      const how = (["reset", "half-close", "close-receive"] as const)[this.random.next(3)] ?? "reset";
      this.#breakOff = {
        how,
        afterBytes: this.random.next(once(this.random, 2) ? 200 : 150_000),
        afterMs: this.random.next(60),
      };
    }
  }

  /** Whether the client itself has made an orderly end impossible. */
  protected get brokenOff(): BreakOff["how"] | undefined {
    return this.#brokenOff;
  }

  start(): void {
    this.#state = "connecting";
    try {
      this.#stream = this.world.machine.vsock.connect(port(this.#port), (stream) => {
        this.#stream = stream;
        return this;
      });
    } catch (error) {
      this.world.findings.add(`${this.name} could not even ask for a connection: ${String(error)}`);
      this.#over();
      return;
    }
    if (this.#breakOff !== undefined) {
      this.world.simulation.after(this.#breakOff.afterMs, `${this.name} may break off`, () =>
        this.#maybeBreakOff("time"),
      );
    }
  }

  /** The connection is there. */
  protected abstract connected(): void;
  /** The next bytes; the array is only good during the call. */
  protected abstract take(bytes: Uint8Array): void;
  /** The guest will send no more; all it sent has been taken. */
  protected abstract sentAll(): void;
  /** It is over. `errno` 0: in order. */
  protected abstract over(errno: number): void;
  /** No connection came about. */
  protected abstract refused(errno: number): void;

  protected write(bytes: Uint8Array): void {
    this.#out.push(bytes);
    this.#pump();
  }

  /** After what was written. */
  protected endWriting(): void {
    this.#wantsEnd = true;
    this.#pump();
  }

  protected reset(): void {
    if (this.#state === "over") return;
    this.#stream?.destroy();
    this.#releaseAll();
    this.#over();
  }

  opened(): void {
    this.#note("is connected");
    this.#state = "open";
    this.connected();
    this.#pump();
  }

  data(chunk: GuestBytes): void {
    if (this.#state === "over") {
      chunk.release();
      return;
    }
    this.world.findings.check(!this.#inEnded, `${this.name} got bytes after their end`);
    this.world.findings.check(this.#brokenOff !== "close-receive", `${this.name} got bytes after it wanted no more`);
    this.world.findings.check(this.#state === "open", `${this.name} got bytes before it was connected`);
    this.#in.push(chunk);
    if (!this.#paused) this.#read();
  }

  end(): void {
    if (this.#state === "over") return;
    this.#note("has the guest's end");
    this.#inEnded = true;
    if (this.#in.length === 0) this.sentAll();
  }

  receiveEnded(): void {}

  drain(): void {
    this.#pump();
  }

  closed(errno: number): void {
    if (this.#state === "over") return;
    this.#note(`is closed with ${errno}`);
    // An orderly end comes after all bytes; another one takes them along.
    const before = this.#state;
    if (errno === 0) this.#readAll();
    this.#releaseAll();
    if (before === "connecting") this.refused(errno);
    else this.over(errno);
    this.#over();
  }

  #read(): void {
    while (this.#in.length > 0 && !this.#paused) {
      if (this.world.faults.has("slow-clients") && this.#pauses < MAX_PAUSES && once(this.random, 3)) {
        this.#pauses++;
        this.#paused = true;
        this.world.simulation.after(between(this.random, 1, LONGEST_HOLD_MS), `${this.name} reads on`, () => {
          this.#paused = false;
          if (this.#state !== "over") this.#read();
        });
        return;
      }
      this.#readOne();
      if (this.#state === "over") return;
    }
    if (this.#inEnded && this.#in.length === 0) this.sentAll();
  }

  #readOne(): void {
    const chunk = this.#in.shift();
    if (chunk === undefined) return;
    this.received += chunk.bytes.length;
    this.#note(`takes ${chunk.bytes.length}`);
    this.take(chunk.bytes);
    if (this.world.faults.has("slow-clients") && once(this.random, 8)) {
      // The bytes have been looked at, but the guest's buffer is kept: others come back before it.
      this.world.simulation.after(this.random.next(40), `${this.name} gives back`, () => chunk.release());
    } else {
      chunk.release();
    }
    this.#maybeBreakOff("bytes");
  }

  #readAll(): void {
    while (this.#in.length > 0 && this.#state !== "over") this.#readOne();
  }

  #releaseAll(): void {
    for (const chunk of this.#in.splice(0)) chunk.release();
  }

  #pump(): void {
    const stream = this.#stream;
    if (this.#state !== "open" || stream === undefined || this.#ended) return;
    for (let first = this.#out[0]; first !== undefined; first = this.#out[0]) {
      const left = first.length - this.#outOffset;
      const piece = once(this.random, 3) ? between(this.random, 1, left) : left;
      const written = stream.write(first.subarray(this.#outOffset, this.#outOffset + piece));
      this.#outOffset += written;
      if (written < piece) return; // `drain` will tell
      if (this.#outOffset === first.length) {
        this.#out.shift();
        this.#outOffset = 0;
      }
    }
    if (this.#wantsEnd) {
      this.#ended = true;
      stream.end();
    }
  }

  #maybeBreakOff(cause: "time" | "bytes"): void {
    const wanted = this.#breakOff;
    if (wanted === undefined || this.#brokenOff !== undefined || this.#state === "over") return;
    if (cause === "bytes" ? this.received < wanted.afterBytes : this.received >= wanted.afterBytes) return;
    this.#brokenOff = wanted.how;
    this.#note(`breaks off: ${wanted.how}`);
    if (wanted.how === "reset") this.reset();
    else if (wanted.how === "half-close") {
      this.#ended = true;
      this.#stream?.end();
    } else {
      this.#stream?.endReceive();
      this.#releaseAll();
      // Nothing comes any more that would bring it to its end.
      this.#ended = true;
      this.#stream?.end();
    }
  }

  #over(): void {
    this.#state = "over";
    this.#finish();
  }

  #note(what: string): void {
    this.world.simulation.note(`${this.name} ${what}`);
  }
}
