/**
 * Messages from the supervisor to a worker whose event loop may never turn: an exclusive core blocks on its wake word.
 * The message goes into a MessagePort, a counter says that it is there, the bell wakes the loop, and the loop's poll
 * takes it out by hand.
 */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Doorbell, Pollable } from "@toril/virtio/platform";

/** The supervisor's end. */
export class MailboxSender<Message> {
  readonly #port: MessagePort;
  readonly #count: Int32Array;
  readonly #bell: Doorbell;

  /** @param count one word in a SharedArrayBuffer */
  constructor(port: MessagePort, count: Int32Array, bell: Doorbell) {
    this.#port = port;
    this.#count = count;
    this.#bell = bell;
  }

  send(message: Message): void {
    this.#port.postMessage(message);
    Atomics.add(this.#count, 0, 1);
    this.#bell.ring();
  }

  close(): void {
    this.#port.close();
  }
}

/** The worker's end. */
export class Mailbox<Message> implements Pollable {
  readonly #port: MessagePort;
  readonly #count: Int32Array;
  readonly #take: (message: Message) => void;
  #taken = 0;

  constructor(port: MessagePort, count: Int32Array, take: (message: Message) => void) {
    this.#port = port;
    this.#count = count;
    this.#take = take;
  }

  poll(): boolean {
    if (!this.arm()) return false;
    const received = receiveMessageOnPort(this.#port);
    // The count can be ahead of the port for a moment: the next poll looks again.
    if (received === undefined) return true;
    this.#taken = (this.#taken + 1) | 0;
    this.#take(received.message as Message);
    return true;
  }

  arm(): boolean {
    return Atomics.load(this.#count, 0) !== this.#taken;
  }
}
