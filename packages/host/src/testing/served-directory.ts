/** For the tests of directories: a directory that goes away with its test, served with either confinement. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeId } from "@toril/virtio-fs/device";
import { afterEach } from "vitest";
import { HostDirectory } from "../directory/host-directory.ts";
import type { HostDirectoryOptions } from "../directory/options.ts";
import type { Confinement } from "../directory/reach.ts";
import { bestConfinement } from "../directory/root.ts";

/** What can be tested on this system: everything on Linux. */
export const CONFINEMENTS: readonly Confinement[] =
  bestConfinement() === "descriptors" ? ["descriptors", "paths"] : ["paths"];

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "toril-host-"));
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function serve(path: string, options: Omit<HostDirectoryOptions, "path"> = {}): HostDirectory {
  const fs = new HostDirectory({ path, ...options });
  cleanUps.unshift(() => fs.close());
  return fs;
}

export function name(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The code of what a call throws; `undefined` when it throws nothing. */
export function code(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
  return undefined;
}

export function content(fs: HostDirectory, node: NodeId): string {
  const { handle } = fs.open(node, 0);
  const target = new Uint8Array(1000);
  const count = fs.read(node, handle, 0, [target]);
  fs.release(node, handle);
  if (typeof count !== "number") throw new Error("not at once");
  return new TextDecoder().decode(target.subarray(0, count));
}
