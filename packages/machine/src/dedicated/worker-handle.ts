/** A worker as its supervisor holds it: requests with replies, notices, and its end, expected or not. */
import { MessageChannel, Worker } from "node:worker_threads";
import type { Doorbell, Log } from "@toril/virtio/platform";
import { within } from "../within.ts";
import { MailboxSender } from "./mailbox.ts";
import {
  type Answer,
  type CorePlan,
  type DevicePlan,
  landError,
  type MailboxPart,
  type Notice,
  type Request,
  type RequestKind,
  type Wish,
} from "./plan.ts";

/** A device's garbage is small and short-lived; V8's own 48 MiB would only be filled before anybody looks. */
const DEVICE_YOUNG_MB = 16;

export interface WorkerHandleOptions {
  /** For messages: `core 0`, `vsock device`. */
  readonly name: string;
  readonly script: "core-worker" | "device-worker";
  readonly plan: (mailbox: MailboxPart) => CorePlan | DevicePlan;
  /** Wakes the worker's loop. */
  readonly bell: Doorbell;
  readonly log: Log;
  /** Bytes of JavaScript heap; the engine's own limit unless told. */
  readonly scriptHeap: number | undefined;
  readonly onNotice?: (notice: Notice) => void;
  /** The thread has ended although nobody asked it to. */
  readonly onDeath: (error: Error) => void;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class WorkerHandle {
  readonly name: string;
  /** Settles when the worker is up; rejects when it could not come up. */
  readonly up: Promise<void>;
  readonly #worker: Worker;
  readonly #mailbox: MailboxSender<Request>;
  readonly #options: WorkerHandleOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #settleUp: Pending = { resolve: () => {}, reject: () => {} };
  #nextNumber = 1;
  #life: "running" | "ending" | "ended" = "running";
  #reason: Error | undefined;

  constructor(options: WorkerHandleOptions) {
    const { scriptHeap } = options;
    this.name = options.name;
    this.#options = options;
    const { port1, port2 } = new MessageChannel();
    const count = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#mailbox = new MailboxSender(port1, new Int32Array(count), options.bell);
    port1.unref();
    this.up = new Promise((resolve, reject) => {
      this.#settleUp = { resolve: () => resolve(), reject };
    });
    this.up.catch(() => {});
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#worker = new Worker(new URL(`./${options.script}.${extension}`, import.meta.url), {
      name: `toril ${options.name}`,
      workerData: options.plan({ port: port2, count }),
      transferList: [port2],
      resourceLimits: {
        ...(scriptHeap === undefined ? {} : { maxOldGenerationSizeMb: scriptHeap / 2 ** 20 }),
        ...(options.script === "device-worker" ? { maxYoungGenerationSizeMb: DEVICE_YOUNG_MB } : {}),
      },
    });
    this.#worker.on("message", (notice: Notice) => this.#take(notice));
    this.#worker.on("error", (error: unknown) => {
      this.#reason = error instanceof Error ? error : new Error(String(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#ended(code);
        resolve();
      });
    });
  }

  /** Whether its thread is gone. */
  get ended(): boolean {
    return this.#life === "ended";
  }

  /** Waits for as long as the thread lives. @throws Error what the worker threw, with its code; or that it has ended */
  request<Kind extends RequestKind>(wish: Wish<Kind>): Promise<Answer<Kind>> {
    if (this.#life === "ended") return Promise.reject(this.#gone());
    const number = this.#nextNumber++;
    return new Promise<unknown>((resolve, reject) => {
      this.#pending.set(number, { resolve, reject });
      this.#mailbox.send({ ...wish, number } as Request);
    }) as Promise<Answer<Kind>>;
  }

  /** Kills the thread, wherever it is: for tests. */
  kill(): Promise<number> {
    return this.#worker.terminate();
  }

  /** Asks the worker to let go of everything, and ends its thread, after `timeoutMs` at the latest. */
  async shutDown(timeoutMs: number): Promise<void> {
    if (this.#life === "running") this.request({ kind: "shut-down" }).catch(() => {});
    if (this.#life !== "ended") this.#life = "ending";
    if ((await within(this.#exited, timeoutMs)) === "done") return;
    this.#options.log.warn(`${this.name} did not end by itself and was terminated`);
    await this.#worker.terminate();
    await this.#exited;
  }

  #take(notice: Notice): void {
    switch (notice.kind) {
      case "up":
        this.#settleUp.resolve(undefined);
        break;
      case "failed":
        // It ends by itself now: that is told here, and is no death.
        this.#life = "ending";
        this.#settleUp.reject(landError(notice.error));
        break;
      case "log":
        this.#options.log[notice.level](notice.message, notice.fields);
        break;
      case "reply":
        this.#settle(notice.number)?.resolve(notice.value);
        break;
      case "refusal":
        this.#settle(notice.number)?.reject(landError(notice.error));
        break;
      default:
        this.#options.onNotice?.(notice);
    }
  }

  #settle(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    return pending;
  }

  #ended(code: number): void {
    const expected = this.#life === "ending";
    this.#life = "ended";
    this.#reason ??= expected ? undefined : new Error(`the thread of ${this.name} ended with exit code ${code}`);
    this.#mailbox.close();
    const gone = this.#gone();
    this.#settleUp.reject(gone);
    for (const pending of this.#pending.values()) pending.reject(gone);
    this.#pending.clear();
    if (!expected) this.#options.onDeath(gone);
  }

  #gone(): Error {
    return this.#reason ?? new Error(`the thread of ${this.name} has ended`);
  }
}
