/** An open file: opaque to programs, a handle with its position to the driver. */
import { type Opaque64, OpenFlag, OpenReplyFlag } from "../wire/index.ts";
import type { Node } from "./nodes.ts";
import type { ReadAhead } from "./read-ahead.ts";
import type { OpenReply } from "./replies.ts";

/** What `open` returns. It belongs to the driver that opened it; only that driver's calls take it. */
export interface File {
  readonly kind: "file";
}

export class OpenFile implements File {
  readonly kind = "file" as const;
  /** The driver it belongs to. */
  readonly owner: object;
  /** Held as long as the file is open. */
  readonly node: Node;
  readonly handle: Readonly<Opaque64>;
  /** Linux open flags, as the device got them. */
  readonly flags: number;
  /** The device asked us not to cache this file (FOPEN_DIRECT_IO). */
  readonly directIo: boolean;
  readonly readAhead: ReadAhead;
  /** Where `read` and `write` go on, in bytes. */
  position = 0;
  closed = false;
  /** Requests with this handle on their way: it is released after the last. */
  inFlight = 0;
  /** Ends the wait of `close` for them. */
  onIdle: (() => void) | undefined;
  /** Calls that move the position, and appends, go one after another. */
  turn: Promise<unknown> = Promise.resolve();

  constructor(owner: object, node: Node, opened: OpenReply, flags: number, readAhead: ReadAhead) {
    this.owner = owner;
    this.node = node;
    this.handle = opened.handle;
    this.flags = flags;
    this.directIo = (opened.flags & OpenReplyFlag.DirectIo) !== 0;
    this.readAhead = readAhead;
  }

  get readable(): boolean {
    return (this.flags & OpenFlag.AccessMode) !== OpenFlag.WriteOnly;
  }

  get writable(): boolean {
    return (this.flags & OpenFlag.AccessMode) !== OpenFlag.ReadOnly;
  }

  get appends(): boolean {
    return (this.flags & OpenFlag.Append) !== 0;
  }

  /** Runs `body` when the calls before it are done. */
  inTurn<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(body);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** A request with this handle goes out. */
  begin(): void {
    this.inFlight++;
  }

  /** It is answered. */
  end(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.onIdle?.();
  }
}
