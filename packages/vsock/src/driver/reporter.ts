/**
 * What users are to be told: kept until the driver is done with its own work, so that a callback always finds it
 * consistent, and may call anything.
 */
import type { Log } from "@toril/virtio/platform";
import { Turns } from "../connection/turns.ts";
import { type Connection, News } from "./connection.ts";
import type { Listener } from "./listener.ts";

export class Reporter {
  readonly #log: Log;
  /** Connections whose listener has something to hear. */
  readonly #news = new Turns<Connection>(2);
  #acceptable: Listener[] = [];
  /** Those to be called, and an empty list to collect the next ones in. */
  #returned: (() => void)[] = [];
  #spare: (() => void)[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  get hasNews(): boolean {
    return this.#news.length > 0 || this.#acceptable.length > 0 || this.#returned.length > 0;
  }

  announce(connection: Connection, news: number): void {
    connection.news |= news;
    this.#news.add(connection);
  }

  /** A listener has a connection to accept, or will never have one. */
  acceptable(listener: Listener): void {
    if (!this.#acceptable.includes(listener)) this.#acceptable.push(listener);
  }

  /** A loan has ended: `callback` is to be called. */
  returned(callback: () => void): void {
    this.#returned.push(callback);
  }

  /** Calls back; what happens meanwhile is told by the next poll. */
  tell(): boolean {
    if (!this.hasNews) return false;
    if (this.#returned.length > 0) {
      const returned = this.#returned;
      this.#returned = this.#spare;
      for (const callback of returned) this.#guard(callback);
      returned.length = 0;
      this.#spare = returned;
    }
    if (this.#acceptable.length > 0) {
      const acceptable = this.#acceptable;
      this.#acceptable = [];
      for (const listener of acceptable) this.#guard(() => listener.onAcceptable?.());
    }
    for (let left = this.#news.length; left > 0; left--) {
      const connection = this.#news.next();
      if (connection !== undefined) this.#tellOne(connection);
    }
    return true;
  }

  #tellOne(connection: Connection): void {
    const { news } = connection;
    connection.news = 0;
    try {
      if ((news & News.Connected) !== 0) connection.listener.onConnected?.();
      if ((news & News.Readable) !== 0) connection.listener.onReadable?.();
      if ((news & News.Returned) !== 0) connection.listener.onReturned?.();
      if ((news & News.Writable) !== 0 && connection.outgoing.wantsWrite) {
        connection.outgoing.wantsWrite = false;
        connection.listener.onWritable?.();
      }
      if ((news & News.Closed) !== 0) connection.listener.onClosed?.(connection.error);
    } catch (error) {
      this.#log.error("vsock: a listener threw; its connection is reset", { reason: String(error) });
      connection.abort();
    }
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#log.error("vsock: a callback threw", { reason: String(error) });
    }
  }
}
