/** Opens the directory that is to be served, or says in one line why it cannot be. */
import { accessSync, closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { platform } from "node:process";
import { HostDirectoryError } from "./host-directory-error.ts";
import { inodePath, OPEN_INODE } from "./linux-path.ts";

/** @throws HostDirectoryError */
export function openRoot(path: string): number {
  if (platform !== "linux" || !existsSync("/proc/self/fd")) {
    const where = platform === "linux" ? "without /proc" : `on ${platform}`;
    throw new HostDirectoryError(
      "ERR_PLATFORM",
      `cannot serve "${path}" ${where}: a directory is confined through Linux' /proc/self/fd; use Linux, or a MemoryFileSystem`,
    );
  }
  let descriptor: number;
  try {
    descriptor = openSync(path, OPEN_INODE);
  } catch (error) {
    throw cannot(path, error);
  }
  try {
    const inside = inodePath(descriptor);
    if (!statSync(inside).isDirectory())
      throw new HostDirectoryError("ENOTDIR", `cannot serve "${path}": it is not a directory`);
    accessSync(inside, constants.R_OK | constants.X_OK);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error instanceof HostDirectoryError ? error : cannot(path, error);
  }
}

function cannot(path: string, error: unknown): HostDirectoryError {
  const code = (error as NodeJS.ErrnoException).code ?? "EIO";
  const reasons: Record<string, string> = {
    ENOENT: "there is no such directory",
    EACCES: "this user may not read it",
    ENOTDIR: "a part of the path is not a directory",
    ELOOP: "the path has a loop of symbolic links",
  };
  return new HostDirectoryError(code, `cannot serve "${path}": ${reasons[code] ?? code}`);
}
