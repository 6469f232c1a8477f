/** Directories to serve: made for one test file, and gone with it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Bytes that differ everywhere, the same for the same seed (xorshift32). */
export function noise(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed * 2_654_435_761 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

export class Site {
  readonly path: string = mkdtempSync(join(tmpdir(), "toril-e2e-"));
  /** What is served lies one level down: a neighbour is there to be escaped to. */
  readonly root: string = join(this.path, "site");

  constructor() {
    mkdirSync(this.root);
  }

  /** @param name relative to the root; bytes where it is no UTF-8 */
  write(name: string | Buffer, bytes: string | Uint8Array): void {
    const path = this.#at(name);
    if (typeof path === "string") mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }

  directory(name: string): void {
    mkdirSync(join(this.root, name), { recursive: true });
  }

  link(name: string, target: string): void {
    symlinkSync(target, join(this.root, name));
  }

  fifo(name: string): void {
    execFileSync("mkfifo", [join(this.root, name)]);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #at(name: string | Buffer): string | Buffer {
    return typeof name === "string" ? join(this.root, name) : Buffer.concat([Buffer.from(`${this.root}/`), name]);
  }
}

/** A name as it stands in an address: every byte but the unreserved ones encoded. */
export function encodeName(name: string | Buffer): string {
  let text = "";
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}
