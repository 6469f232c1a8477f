/** The site of a soak: contents that show by themselves whether they are whole. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SiteFile {
  readonly name: string;
  readonly size: number;
  /** Rewritten while it is served. */
  readonly changes: boolean;
}

const SIZES = [0, 100, 4_096, 65_536, 133_000, 1_000_000, 6_000_000];

export class Site {
  readonly directory: string = mkdtempSync(join(tmpdir(), "toril-soak-"));
  readonly files: readonly SiteFile[] = [
    ...SIZES.map((size) => ({ name: `${size}.bin`, size, changes: false })),
    { name: "changing.bin", size: 50_000, changes: true },
  ];
  #version = 0;

  constructor() {
    for (const { name, size } of this.files) writeFileSync(join(this.directory, name), content(size, 0));
  }

  /** A file as an editor saves it: another inode under the same name. */
  change(): void {
    this.#version++;
    const name = join(this.directory, "changing.bin");
    writeFileSync(`${name}.new`, content(50_000, this.#version));
    renameSync(`${name}.new`, name);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Byte i is i plus the version, so that a mix of two versions shows. */
export function content(size: number, version: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i + (i >> 8) + version) & 0xff;
  return bytes;
}
