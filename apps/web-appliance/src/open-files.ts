/**
 * Open files that are kept for the next request. Opening costs a round trip to the device; a warm request costs none.
 * A file is opened again when its attributes say that the path now leads to other bytes.
 */
import type { File, FileCalls, FileStat } from "@toril/virtio-fs";
import { describe, type Representation, sameFile } from "./representation.ts";

/** Handles cost the device a descriptor each; the most visited paths are few. */
const KEPT_FILES = 256;

/** A file on loan; `release` once, when the response is done with it. */
export interface OpenFile {
  readonly file: File;
  readonly representation: Representation;
  release(): void;
}

interface Slot {
  readonly file: File;
  readonly stat: FileStat;
  readonly representation: Representation;
  users: number;
  stale: boolean;
}

export class OpenFiles {
  readonly #fs: FileCalls;
  readonly #slots = new Map<string, Slot>();

  constructor(fs: FileCalls) {
    this.#fs = fs;
  }

  /** The file that was opened for `key` when it still is what `stat` says; no wait. */
  tryTake(key: string, stat: FileStat): OpenFile | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    if (slot.stat === stat || sameFile(slot.stat, stat)) return this.#lend(slot);
    this.#drop(key, slot);
    return undefined;
  }

  /**
   * Opens the file; `name` decides its type. Its attributes are asked for again through the handle: the path may lead elsewhere by now.
   * @throws SystemError as open and stat do
   */
  async take(key: string, path: string | Uint8Array, name: string): Promise<OpenFile> {
    const file = await this.#fs.open(path);
    try {
      const stat = await this.#fs.stat(file);
      const slot: Slot = { file, stat, representation: describe(name, stat), users: 0, stale: false };
      const old = this.#slots.get(key);
      if (old !== undefined) this.#drop(key, old);
      this.#slots.set(key, slot);
      const lent = this.#lend(slot);
      this.#trim();
      return lent;
    } catch (error) {
      this.#close(file);
      throw error;
    }
  }

  /** Closes what nobody uses, and the rest as it comes back. */
  closeAll(): void {
    for (const [key, slot] of this.#slots) this.#drop(key, slot);
  }

  #lend(slot: Slot): OpenFile {
    slot.users++;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      slot.users--;
      if (slot.stale && slot.users === 0) this.#close(slot.file);
    };
    return { file: slot.file, representation: slot.representation, release };
  }

  #drop(key: string, slot: Slot): void {
    this.#slots.delete(key);
    slot.stale = true;
    if (slot.users === 0) this.#close(slot.file);
  }

  /** Oldest first: a Map keeps the order of insertion, and a file in use goes when it comes back. */
  #trim(): void {
    for (const [key, slot] of this.#slots) {
      if (this.#slots.size <= KEPT_FILES) return;
      this.#drop(key, slot);
    }
  }

  /** A close that fails has still closed; there is nobody to tell. */
  #close(file: File): void {
    this.#fs.close(file).catch(() => {});
  }
}
