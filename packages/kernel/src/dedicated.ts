/**
 * The devices and drivers that are dedicated to one core: it alone polls them, in turn. One that throws is a bug of its
 * own; it is taken out and reported, and the others go on.
 */
import type { Pollable } from "@toril/virtio/platform";

export interface DedicatedDevice {
  readonly name: string;
  /** Polls that did work. */
  readonly busyPolls: number;
}

interface Entry {
  readonly name: string;
  readonly pollable: Pollable;
  busyPolls: number;
}

/** What is dedicated to some core of this thread. */
const taken = new WeakSet<Pollable>();

export class DedicatedDevices {
  #entries: Entry[] = [];
  readonly #onFailure: (name: string, error: unknown) => void;

  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  get list(): readonly DedicatedDevice[] {
    return this.#entries;
  }

  /**
   * @returns a call that takes it out again.
   * @throws Error when it is dedicated to a core already.
   */
  add(pollable: Pollable, name: string): () => void {
    if (taken.has(pollable)) throw new Error(`${name} is dedicated to a core already: a device belongs to one core`);
    taken.add(pollable);
    const entry = { name, pollable, busyPolls: 0 };
    // A new list each time: adding or removing during a round leaves that round alone.
    this.#entries = [...this.#entries, entry];
    return () => this.#remove(entry);
  }

  poll(): boolean {
    const entries = this.#entries;
    let worked = false;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined) continue;
      try {
        if (!entry.pollable.poll()) continue;
        entry.busyPolls++;
        worked = true;
      } catch (error) {
        this.#fail(entry, error);
        worked = true;
      }
    }
    return worked;
  }

  /** Arms all, also after one has found work: each must know that the core may wait. `true`: do not wait. */
  arm(): boolean {
    const entries = this.#entries;
    let found = false;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined) continue;
      try {
        if (entry.pollable.arm()) found = true;
      } catch (error) {
        this.#fail(entry, error);
        found = true;
      }
    }
    return found;
  }

  #fail(entry: Entry, error: unknown): void {
    this.#remove(entry);
    this.#onFailure(entry.name, error);
  }

  #remove(entry: Entry): void {
    taken.delete(entry.pollable);
    this.#entries = this.#entries.filter((other) => other !== entry);
  }
}
