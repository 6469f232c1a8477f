/**
 * The FUSE server: a request comes in as bytes, becomes a call of the FileSystem, and its result goes back as bytes. It
 * knows no rings and no device.
 *
 *   FuseMessage → Exchange (private copy, checks) → an operation (`*-operations.ts`) → FileSystem → reply in place
 *
 * A request whose file system answers at once is answered within `serve`, with no promise. One that takes longer stays
 * pending and is answered whenever it is ready, so replies may overtake each other. Nothing a guest sends throws here.
 */
import type { MaybePromise } from "@toril/virtio";
import { Errno, type Log, silentLog } from "@toril/virtio/platform";
import {
  createInitIn,
  IN_HEADER_SIZE,
  INIT_IN_SIZE_OLD,
  INTERRUPT_IN_SIZE,
  isOpcode,
  Opcode,
  OUT_HEADER_SIZE,
  opaque,
  opcodeName,
  readInitIn,
  readInterruptIn,
  sameOpaque,
  writeInitOut,
} from "../wire/index.ts";
import { errorNumber } from "./error-number.ts";
import { Exchange, PENDING } from "./exchange.ts";
import type { FileSystem } from "./file-system.ts";
import type { FuseMessage } from "./fuse-message.ts";
import { batchForget, forget } from "./inode-operations.ts";
import { interruptible, operationFor, replySize } from "./operations.ts";
import type { Finish, Serving, Undo } from "./serving.ts";
import { negotiate, type SessionLimits } from "./session.ts";

export interface FuseServerOptions {
  readonly fileSystem: FileSystem;
  readonly log?: Log;
}

/** Counters; they only grow, but for `pending`. */
export interface FuseServerStats {
  readonly requests: number;
  /** Requests that were answered with an error; `malformed`: those that could not be understood. */
  readonly errors: number;
  readonly malformed: number;
  /** Requests that the file system has not answered yet. */
  readonly pending: number;
  readonly bytesReplied: number;
  readonly forgets: number;
  readonly sessions: number;
}

type SessionState =
  | { readonly kind: "none" }
  /** The file system is letting go of the last session; INIT waits for it. */
  | { readonly kind: "ending"; readonly ended: Promise<void> }
  | { readonly kind: "open"; readonly limits: SessionLimits };

/** FUSE_INIT in the other byte order: §5.11.6.1 lets the guest choose it, we serve little-endian guests only. */
const INIT_BIG_ENDIAN = 0x1a00_0000;
/** Complaints about one session that are logged; the others are only counted, or a guest could fill a disk. */
const LOGGED_COMPLAINTS = 16;
const NO_SESSION: SessionState = { kind: "none" };
const NO_LIMITS: SessionLimits = { minor: 0, flags: 0, maxWrite: 0 };

export class FuseServer implements Serving {
  readonly fileSystem: FileSystem;
  readonly #log: Log;
  readonly #free: Exchange[] = [];
  readonly #pending = new Set<Exchange>();
  readonly #initIn = createInitIn();
  readonly #interrupted = opaque();
  readonly #stats = { requests: 0, errors: 0, malformed: 0, bytesReplied: 0, forgets: 0, sessions: 0 };
  #state: SessionState = NO_SESSION;
  #complaints = 0;

  constructor({ fileSystem, log = silentLog }: FuseServerOptions) {
    this.fileSystem = fileSystem;
    this.#log = log;
  }

  get stats(): FuseServerStats {
    return { ...this.#stats, pending: this.#pending.size };
  }

  /** What was negotiated; zeros without a session. */
  get limits(): SessionLimits {
    return this.#state.kind === "open" ? this.#state.limits : NO_LIMITS;
  }

  /**
   * Serves one request. Returns the bytes that were written to it, from its start: 0 when it gets no answer. Or PENDING:
   * then the message must stay as it is until `whenDone` is called with that number, or the server is reset.
   */
  serve(message: FuseMessage, whenDone: (written: number) => void): number {
    const exchange = this.#free.pop() ?? new Exchange();
    this.#stats.requests++;
    const problem = exchange.begin(message, whenDone);
    let written: number;
    if (problem !== undefined) {
      written = this.#refuseMalformed(exchange, problem);
    } else {
      try {
        written = this.#dispatch(exchange);
      } catch (error) {
        written = this.#failWith(exchange, error);
      }
    }
    if (written !== PENDING) this.#finished(exchange, written);
    return written;
  }

  /** The transport is gone: forgets the session. Requests that are pending are not answered and not touched any more. */
  reset(): void {
    this.#endSession("drop");
  }

  #dispatch(exchange: Exchange): number {
    const { opcode } = exchange;
    if (opcode === Opcode.Init) return this.#init(exchange);
    if (opcode === Opcode.Forget || opcode === Opcode.BatchForget) return this.#forget(exchange);
    if (opcode === Opcode.Interrupt) return this.#interrupt(exchange);
    if (!exchange.canReply) return this.#refuseMalformed(exchange, "a request without room for a reply");
    if (this.#state.kind !== "open") {
      return this.#refuse(
        exchange,
        Errno.EIO,
        opcode === INIT_BIG_ENDIAN ? "a big-endian guest" : "INIT must come first",
      );
    }
    if (opcode === Opcode.Destroy) return this.#destroy(exchange);
    const operation = isOpcode(opcode) ? operationFor(opcode) : undefined;
    if (operation === undefined) return exchange.fail(Errno.ENOSYS);
    if (exchange.node === -1) return exchange.fail(Errno.ESTALE);
    // Before anything is done: a lookup whose answer does not fit would be counted and never forgotten.
    if (exchange.payloadRoom < replySize(opcode)) {
      return this.#refuse(exchange, Errno.EINVAL, `a reply to ${opcodeName(opcode)} does not fit`);
    }
    if (opcode !== Opcode.Write) exchange.copyRest();
    return operation(this, exchange);
  }

  answer<T>(exchange: Exchange, result: MaybePromise<T>, finish: Finish<T>, undo?: Undo<T>): number {
    if (isPromise(result)) {
      this.#pending.add(exchange);
      result.then(
        (value) => this.#settle(exchange, value, finish, undo),
        (error: unknown) => this.#settleFailed(exchange, error),
      );
      return PENDING;
    }
    return this.#finish(exchange, result, finish, undo);
  }

  #finish<T>(exchange: Exchange, value: T, finish: Finish<T>, undo: Undo<T> | undefined): number {
    try {
      return finish(exchange, value);
    } catch (error) {
      undo?.(this.fileSystem, exchange, value);
      return this.#failWith(exchange, error);
    }
  }

  #settle<T>(exchange: Exchange, value: T, finish: Finish<T>, undo: Undo<T> | undefined): void {
    if (exchange.state === "serving") this.#complete(exchange, this.#finish(exchange, value, finish, undo));
    else if (exchange.state === "interrupted") undo?.(this.fileSystem, exchange, value);
  }

  #settleFailed(exchange: Exchange, error: unknown): void {
    if (exchange.state === "serving") this.#complete(exchange, this.#failWith(exchange, error));
  }

  /** Answers a request that was pending. */
  #complete(exchange: Exchange, written: number): void {
    const { whenDone } = exchange;
    this.#pending.delete(exchange);
    this.#finished(exchange, written);
    whenDone(written);
  }

  #finished(exchange: Exchange, written: number): void {
    this.#stats.bytesReplied += written;
    if (exchange.error !== 0) this.#stats.errors++;
    exchange.finish();
    // One that was answered early is still referred to by its promise.
    if (exchange.state === "serving") this.#free.push(exchange);
  }

  #init(exchange: Exchange): number {
    if (!exchange.canReply || exchange.argumentBytes < INIT_IN_SIZE_OLD) {
      return this.#refuseMalformed(exchange, "an INIT that is too short");
    }
    exchange.copyRest();
    // §5.11.6.1: "The next FUSE_INIT message terminates the current session and starts a new session".
    if (this.#state.kind === "open") this.#endSession("answer");
    if (this.#state.kind === "ending") {
      return this.answer(exchange, this.#state.ended, (waiting) => this.#negotiateAfterWait(waiting));
    }
    return this.#negotiate(exchange);
  }

  /** Of several INITs that waited, one starts the session. */
  #negotiateAfterWait(exchange: Exchange): number {
    return this.#state.kind === "none" ? this.#negotiate(exchange) : exchange.fail(Errno.EIO);
  }

  #negotiate(exchange: Exchange): number {
    readInitIn(exchange.bytes, IN_HEADER_SIZE, exchange.argumentBytes, this.#initIn);
    const result = negotiate(this.#initIn);
    if (result.kind === "refuse") return this.#refuse(exchange, result.errno, result.reason);
    if (exchange.payloadRoom < result.size) return this.#refuse(exchange, Errno.EINVAL, "a reply to INIT does not fit");
    writeInitOut(exchange.reply, OUT_HEADER_SIZE, result.out);
    if (result.kind === "accept") {
      this.#state = { kind: "open", limits: result.limits };
      this.#complaints = 0;
      this.#stats.sessions++;
      const { minor, maxWrite } = result.limits;
      this.#log.debug("a FUSE session starts", { minor, maxWrite });
    }
    return exchange.succeed(result.size);
  }

  #destroy(exchange: Exchange): number {
    this.#endSession("answer");
    this.#log.debug("a FUSE session ends");
    return exchange.succeed(0);
  }

  /** @param pending whether requests that still run are answered, or left alone because their memory is gone. */
  #endSession(pending: "answer" | "drop"): void {
    const running = [...this.#pending];
    this.#pending.clear();
    for (const exchange of running) exchange.state = "ended";
    const wasOpen = this.#state.kind === "open";
    if (wasOpen) this.#state = NO_SESSION;
    if (wasOpen) this.#resetFileSystem();
    for (const exchange of running) {
      const { whenDone } = exchange;
      const written = pending === "answer" ? exchange.fail(Errno.ECONNABORTED) : 0;
      this.#finished(exchange, written);
      if (pending === "answer") whenDone(written);
    }
  }

  #resetFileSystem(): void {
    try {
      const result = this.fileSystem.reset();
      if (!isPromise(result)) return;
      const ended = result
        .catch((error: unknown) => this.#complain("the file system failed in its reset", { reason: String(error) }))
        .then(() => {
          if (this.#state.kind === "ending" && this.#state.ended === ended) this.#state = NO_SESSION;
        });
      this.#state = { kind: "ending", ended };
    } catch (error) {
      this.#complain("the file system failed in its reset", { reason: String(error) });
    }
  }

  /** No reply, ever, whatever went wrong. */
  #forget(exchange: Exchange): number {
    if (this.#state.kind !== "open") return 0;
    try {
      const some = exchange.opcode === Opcode.Forget ? forget : batchForget;
      this.#stats.forgets += some(this.fileSystem, exchange);
    } catch (error) {
      this.#complain("the file system failed to forget", { reason: String(error) });
    }
    return 0;
  }

  /**
   * The client has lost interest in a request. One that only looks is answered EINTR at once, and its late result is
   * given back; one that changes something or fills the guest's memory runs to its end, which the protocol allows. A
   * request that is not known (here, everything else is answered already, or has not come yet) gets EAGAIN: the client
   * asks again if it still waits.
   */
  #interrupt(exchange: Exchange): number {
    if (exchange.argumentBytes < INTERRUPT_IN_SIZE)
      return this.#refuseMalformed(exchange, "an INTERRUPT that is too short");
    readInterruptIn(exchange.bytes, IN_HEADER_SIZE, this.#interrupted);
    for (const running of this.#pending) {
      if (!sameOpaque(running.header.unique, this.#interrupted)) continue;
      if (interruptible(running.opcode)) {
        running.state = "interrupted";
        this.#complete(running, running.fail(Errno.EINTR));
      }
      return 0;
    }
    return exchange.fail(Errno.EAGAIN);
  }

  #failWith(exchange: Exchange, error: unknown): number {
    const errno = errorNumber(error);
    if (errno !== undefined) return exchange.fail(errno);
    const reason = error instanceof Error ? (error.stack ?? String(error)) : String(error);
    this.#complain("a file system call failed", { operation: opcodeName(exchange.opcode), reason });
    return exchange.fail(Errno.EIO);
  }

  /** The request itself cannot be understood. */
  #refuseMalformed(exchange: Exchange, reason: string): number {
    this.#stats.malformed++;
    this.#complain("a FUSE request was refused", { reason });
    return exchange.message.readableBytes < IN_HEADER_SIZE ? 0 : exchange.fail(Errno.EINVAL);
  }

  #refuse(exchange: Exchange, errno: number, reason: string): number {
    this.#complain("a FUSE request was refused", { operation: opcodeName(exchange.opcode), reason });
    return exchange.fail(errno);
  }

  #complain(message: string, fields: Record<string, string>): void {
    if (++this.#complaints > LOGGED_COMPLAINTS) return;
    this.#log.warn(message, fields);
    if (this.#complaints === LOGGED_COMPLAINTS) this.#log.warn("further complaints in this session are only counted");
  }
}

function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  if (value instanceof Promise) return true;
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
