/**
 * Requests and their answers, one after another, without blocking: each has a time limit, each answer is checked against
 * its request. Whatever is wrong ends the connection: after that nobody could tell which answer belongs to what.
 */
import { VirtioError } from "@toril/virtio";
import { LibcError, libc } from "../ffi/libc.ts";
import { type Request, requestName } from "../protocol/message.ts";
import { type Message, MessageSocket } from "../protocol/message-socket.ts";
import { readU64, u64 } from "../protocol/payloads.ts";

export interface RequesterOptions {
  /** A connected socket, owned from now on. */
  readonly fd: number;
  /** Milliseconds for each answer. */
  readonly timeoutMs: number;
  /** The connection is over, and why. Called once, and not after `close`. */
  readonly lost: (reason: string) => void;
}

/** Whether descriptors may come with an answer. */
type Descriptors = "no-descriptors" | "descriptors";

interface Pending {
  readonly request: Request;
  readonly descriptors: Descriptors;
  readonly deadline: number;
  readonly timer: NodeJS.Timeout;
  resolve(answer: Message): void;
  reject(error: Error): void;
}

/** Milliseconds between attempts while the peer has not read what was sent. */
const RETRY_MS = 1;

export class Requester {
  readonly #socket: MessageSocket;
  readonly #timeoutMs: number;
  readonly #lost: (reason: string) => void;
  #reason: string | undefined;
  #pending: Pending | undefined;
  /** Somebody waits for room in the socket. */
  #retry: (() => void) | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  /** REPLY_ACK was negotiated: requests without an answer of their own are acknowledged. */
  acknowledges: "yes" | "no" = "no";

  constructor(options: RequesterOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#lost = options.lost;
    this.#socket = new MessageSocket(options.fd, {
      message: (message) => this.#received(message),
      ended: (reason) => this.fail(`the back-end is gone: ${reason}`),
    });
  }

  /** Why the connection is over. */
  get reason(): string | undefined {
    return this.#reason;
  }

  get interruptFds(): readonly number[] {
    return [this.#socket.fd];
  }

  unref(): void {
    this.#socket.unref();
  }

  /** A request that is always answered. @throws VirtioError ERR_TRANSPORT when the connection is over */
  ask(request: Request, payload: Uint8Array = NOTHING, descriptors: Descriptors = "no-descriptors"): Promise<Message> {
    return this.#inTurn(() => this.#exchange(request, payload, "request", [], descriptors));
  }

  /** The same, answered by a number. */
  async askNumber(request: Request, payload: Uint8Array = NOTHING): Promise<bigint> {
    const answer = await this.ask(request, payload);
    const value = readU64(answer.payload);
    if (value !== undefined) return value;
    throw this.fail(`its answer to ${requestName(request)} has ${answer.payload.length} bytes: 8 are a number`);
  }

  /**
   * A request that has no answer, but for an acknowledgement where the back-end gives them.
   * @returns `refused` when it acknowledged with an error; `done` also when it cannot acknowledge
   * @throws VirtioError ERR_TRANSPORT when the connection is over
   */
  async tell(
    request: Request,
    payload: Uint8Array = NOTHING,
    fds: readonly number[] = [],
  ): Promise<"done" | "refused"> {
    if (this.acknowledges === "no") {
      await this.#inTurn(() => this.#send(request, payload, "request", fds));
      return "done";
    }
    const answer = await this.#inTurn(() =>
      this.#exchange(request, payload, "request-with-ack", fds, "no-descriptors"),
    );
    const result = readU64(answer.payload);
    if (result === undefined) {
      throw this.fail(`it acknowledged ${requestName(request)} with ${answer.payload.length} bytes instead of 8`);
    }
    return result === 0n ? "done" : "refused";
  }

  tellNumber(request: Request, value: bigint, fds: readonly number[] = []): Promise<"done" | "refused"> {
    return this.tell(request, u64(value), fds);
  }

  /** Takes in answers, for a loop that does not let Node's run (timers included). Whether anything came. */
  pump(): boolean {
    const worked = this.#socket.pump();
    this.#retry?.();
    const pending = this.#pending;
    if (pending !== undefined && performance.now() > pending.deadline) this.#timedOut(pending.request);
    return worked;
  }

  /** Ends the connection because of what the back-end did; returns the error of it. */
  fail(reason: string): VirtioError {
    if (this.#reason === undefined) {
      this.#over(reason);
      this.#lost(reason);
    }
    return this.#error();
  }

  /** Ends the connection in order; nobody is told. */
  close(): void {
    if (this.#reason === undefined) this.#over("the connection was closed");
  }

  #over(reason: string): void {
    this.#reason = reason;
    this.#socket.close();
    this.#retry?.();
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.reject(this.#error());
  }

  #error(): VirtioError {
    return new VirtioError("ERR_TRANSPORT", `vhost-user: ${this.#reason ?? "the connection is over"}`);
  }

  /** One at a time, in the order in which they were asked. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => {});
    return turn;
  }

  #exchange(
    request: Request,
    payload: Uint8Array,
    kind: "request" | "request-with-ack",
    fds: readonly number[],
    descriptors: Descriptors,
  ): Promise<Message> {
    return new Promise((resolve, reject) => {
      // In one go with the send: in a loop that polls, the answer can be there before the next microtask.
      const expect = (): void => {
        const deadline = performance.now() + this.#timeoutMs;
        const timer = setTimeout(() => this.#timedOut(request), this.#timeoutMs);
        this.#pending = { request, descriptors, deadline, timer, resolve, reject };
      };
      this.#send(request, payload, kind, fds, expect).catch(reject);
    });
  }

  /** @param sent called when it has been sent, before anything else can happen */
  async #send(
    request: Request,
    payload: Uint8Array,
    kind: "request" | "request-with-ack",
    fds: readonly number[],
    sent: () => void = () => {},
  ): Promise<void> {
    const deadline = performance.now() + this.#timeoutMs;
    while (this.#reason === undefined) {
      try {
        if (this.#socket.send(request, payload, kind, fds) === "sent") return sent();
      } catch (error) {
        if (!(error instanceof LibcError)) throw error;
        throw this.fail(`the back-end is gone: ${error.message}`);
      }
      if (performance.now() > deadline) throw this.fail(`it has not read ${requestName(request)} in time`);
      await this.#pause();
    }
    throw this.#error();
  }

  /** Until a timer fires, or the next `pump`. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#retry?.(), RETRY_MS);
      this.#retry = () => {
        clearTimeout(timer);
        this.#retry = undefined;
        resolve();
      };
    });
  }

  #timedOut(request: Request): void {
    // A thread that was busy for that long sees its timer before its socket: the answer may be there.
    this.#socket.pump();
    if (this.#pending === undefined) return;
    this.fail(`it did not answer ${requestName(request)} within ${this.#timeoutMs} ms`);
  }

  #received(message: Message): void {
    const pending = this.#pending;
    const wrong = problemOf(message, pending);
    if (wrong !== undefined || pending === undefined) {
      for (const fd of message.fds) libc().close(fd);
      this.fail(wrong ?? "it said something that nobody asked for");
      return;
    }
    this.#pending = undefined;
    clearTimeout(pending.timer);
    pending.resolve(message);
  }
}

const NOTHING = new Uint8Array(0);

function problemOf(message: Message, pending: Pending | undefined): string | undefined {
  const name = requestName(message.request);
  if (message.kind !== "reply") return `it sent ${name}, which is no answer`;
  if (pending === undefined) return `it answered ${name}, which was not asked`;
  if (message.request !== pending.request) return `it answered ${name}, asked was ${requestName(pending.request)}`;
  if (message.fds.length > 0 && pending.descriptors === "no-descriptors") {
    return `it sent ${message.fds.length} descriptors with its answer to ${name}, which has none`;
  }
  return undefined;
}
