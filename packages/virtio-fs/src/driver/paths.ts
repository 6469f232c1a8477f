/** Paths as text: splitting and limits. What the names mean is found out by walk.ts. */
import { Errno } from "@toril/virtio/platform";
import type { FilePath } from "../file-calls.ts";
import { type ByteString, byteString, decode } from "./byte-string.ts";

/** Linux' PATH_MAX (include/uapi/linux/limits.h), without the NUL that it counts. */
export const PATH_LIMIT = 4095;
/** The longest name that a FUSE client sends (FUSE_NAME_MAX, fs/fuse/fuse_i.h); devices mostly stop at 255. */
export const NAME_LIMIT = 1024;

export interface ParsedPath {
  /** The names between the slashes; `.` and `..` are left in, because what they need is known only on the way. */
  readonly names: readonly ByteString[];
  /** A slash behind the last name: that name has to be a directory (POSIX, 4.13 Pathname Resolution). */
  readonly trailingSlash: boolean;
}

/** The parts of a path, or a negative errno: ENOENT (empty), ENAMETOOLONG, EINVAL (a NUL in it). */
export function parsePath(path: FilePath): ParsedPath | number {
  return splitPath(byteString(path));
}

/** The same for a byte string, such as the target of a symbolic link. */
export function splitPath(path: ByteString): ParsedPath | number {
  if (path.length === 0) return -Errno.ENOENT;
  if (path.length > PATH_LIMIT) return -Errno.ENAMETOOLONG;
  const names: ByteString[] = [];
  let start = 0;
  for (let i = 0; i <= path.length; i++) {
    const code = i === path.length ? SLASH : path.charCodeAt(i);
    if (code === 0) return -Errno.EINVAL;
    if (code !== SLASH) continue;
    if (i - start > NAME_LIMIT) return -Errno.ENAMETOOLONG;
    if (i > start) names.push(path.slice(start, i) as ByteString);
    start = i + 1;
  }
  return { names, trailingSlash: names.length > 0 && path.charCodeAt(path.length - 1) === SLASH };
}

/** A path for an error message. */
export function showPath(path: FilePath): string {
  return JSON.stringify(typeof path === "string" ? path : decode(byteString(path)));
}

const SLASH = 0x2f;
