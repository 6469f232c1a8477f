/** The ends of the MessagePort peers, each in a thread of its own: messages that are copied, or whose memory changes hands. */
import { parentPort } from "node:worker_threads";
import { monotonicNow } from "@toril/host";
import type { Job, PingReport } from "../job.ts";
import type { Link } from "../link.ts";
import { PingEnd } from "../ping-end.ts";
import { PongEnd } from "../pong-end.ts";
import { threadId } from "../thread-id.ts";
import type { TaskReply, ThreadRole } from "./roles.ts";

/** Messages on their way in one direction. A port has no limit of its own: in bulk mode its queue would grow without one. */
const WINDOW = 16;
/** Messages that are acknowledged together. */
const ACKNOWLEDGE = 8;

/** What goes through the port. */
type Parcel =
  | { readonly bytes: Uint8Array }
  /** So many messages have been taken, and their memory comes back. */
  | { readonly taken: number; readonly spare: readonly Uint8Array[] };

interface End {
  feed(bytes: Uint8Array): void;
  drain(): void;
}

export function runPortEnd(role: ThreadRole): void {
  let channel: PortLink | undefined;
  parentPort?.postMessage({ kind: "up", thread: threadId() });
  role.port.on("message", (parcel: Parcel) => channel?.take(parcel));
  parentPort?.on("message", (job: Job) => {
    channel = new PortLink(role, job);
    if (role.end === "pong") {
      channel.end = new PongEnd(channel);
      parentPort?.postMessage({ kind: "ready" });
    } else {
      runPing(channel, job).then(
        (report) => parentPort?.postMessage({ kind: "report", report } satisfies TaskReply),
        (error: unknown) => parentPort?.postMessage({ kind: "failed", message: String(error) } satisfies TaskReply),
      );
    }
  });
}

function runPing(channel: PortLink, job: Job): Promise<PingReport> {
  const end = new PingEnd({ job, link: channel, now: monotonicNow(), counters: () => ({}) });
  channel.end = end;
  end.start();
  return end.report;
}

class PortLink implements Link {
  readonly #role: ThreadRole;
  readonly #job: Job;
  end: End | undefined;
  #onTheWay = 0;
  #untold = 0;
  /** Memory of messages that have been read: the next ones go in it. */
  #spare: Uint8Array[] = [];
  #toReturn: Uint8Array[] = [];

  constructor(role: ThreadRole, job: Job) {
    this.#role = role;
    this.#job = job;
  }

  write(bytes: Uint8Array): number {
    if (this.#onTheWay >= WINDOW) return 0;
    this.#onTheWay++;
    this.#untold = 0; // an answer says that what it answers has arrived
    const { port, how } = this.#role;
    if (how === "copy") {
      port.postMessage({ bytes } satisfies Parcel);
      return bytes.length;
    }
    const own = this.#memoryFor(bytes);
    port.postMessage({ bytes: own } satisfies Parcel, [own.buffer as ArrayBuffer]);
    return bytes.length;
  }

  take(parcel: Parcel): void {
    if ("taken" in parcel) {
      this.#onTheWay -= parcel.taken;
      this.#spare.push(...parcel.spare);
      this.end?.drain();
      return;
    }
    const { bytes } = parcel;
    this.#onTheWay = 0;
    if (this.#job.mode === "rtt") this.#keep(bytes, this.#spare);
    else this.#keep(bytes, this.#toReturn);
    this.#untold++;
    if (this.#untold === ACKNOWLEDGE && this.#job.mode === "bulk") this.#acknowledge();
    this.end?.feed(bytes);
  }

  close(): void {}

  #keep(bytes: Uint8Array, list: Uint8Array[]): void {
    if (this.#role.how === "transfer" && bytes.length === this.#job.size) list.push(bytes);
  }

  #acknowledge(): void {
    this.#untold = 0;
    const spare = this.#toReturn;
    this.#toReturn = [];
    // The memory of the message that is about to be read stays for the next time.
    const last = spare.pop();
    if (last !== undefined) this.#toReturn.push(last);
    this.#role.port.postMessage(
      { taken: ACKNOWLEDGE, spare } satisfies Parcel,
      spare.map(({ buffer }) => buffer as ArrayBuffer),
    );
  }

  /** A message's own memory, since it will be gone. Its bytes are those of the last message unless they matter. */
  #memoryFor(bytes: Uint8Array): Uint8Array {
    const spare = bytes.length === this.#job.size && this.#job.payload !== "checked" ? this.#spare.pop() : undefined;
    return spare ?? bytes.slice();
  }
}
