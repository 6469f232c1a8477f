/** Finds the directory that is to be served, and says in one line why it cannot be. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { platform } from "node:process";
import { HostDirectoryError } from "./host-directory-error.ts";
import type { Confinement } from "./reach.ts";

/** The strongest way that this system has. */
export function bestConfinement(): Confinement {
  return platform === "linux" && existsSync("/proc/self/fd") ? "descriptors" : "paths";
}

/**
 * Runs what opens the directory, and tells what it throws in one line.
 * @throws HostDirectoryError
 */
export function openingRoot<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof HostDirectoryError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "EIO";
    throw new HostDirectoryError(code, `cannot serve "${path}": ${REASONS[code] ?? code}`);
  }
}

/** @throws HostDirectoryError, or what the host says */
export function requireReadableDirectory(path: string, at: string | Buffer): void {
  if (!statSync(at).isDirectory()) {
    throw new HostDirectoryError("ENOTDIR", `cannot serve "${path}": it is not a directory`);
  }
  accessSync(at, constants.R_OK | constants.X_OK);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ENOTDIR: "a part of the path is not a directory",
  ELOOP: "the path has a loop of symbolic links",
};
