/** A port that takes connections. They are established on arrival (RESPONSE goes out at once) and wait here in line. */
import type { Port } from "../address.ts";
import type { VsockListener } from "./api.ts";
import type { Connection } from "./connection.ts";

/** What a listener needs of its driver. */
export interface ListenerOwner {
  closeListener(listener: Listener): void;
}

export class Listener implements VsockListener {
  readonly port: Port;
  readonly backlog: number;
  onAcceptable: (() => void) | undefined;
  readonly #owner: ListenerOwner;
  readonly #pending: Connection[] = [];

  constructor(owner: ListenerOwner, port: Port, backlog: number) {
    this.#owner = owner;
    this.port = port;
    this.backlog = backlog;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get full(): boolean {
    return this.#pending.length >= this.backlog;
  }

  tryAccept(): Connection | undefined {
    const connection = this.#pending.shift();
    connection?.accepted();
    return connection;
  }

  close(): void {
    this.#owner.closeListener(this);
    for (const connection of this.#pending.splice(0)) connection.abort();
  }

  /** For the driver: a new connection. */
  add(connection: Connection): void {
    this.#pending.push(connection);
  }

  /** For the driver: a connection was broken before anybody accepted it. */
  remove(connection: Connection): void {
    const at = this.#pending.indexOf(connection);
    if (at >= 0) this.#pending.splice(at, 1);
  }
}
