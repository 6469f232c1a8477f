/** What a HostDirectory is told, and what it takes when it is not told. */
import type { Log } from "@toril/virtio/platform";
import { DescriptorReach } from "./descriptors/descriptor-reach.ts";
import { descriptorLimit } from "./limits.ts";
import { PathReach } from "./paths/path-reach.ts";
import type { Confinement, Reach } from "./reach.ts";
import { bestConfinement } from "./root.ts";

export interface HostDirectoryOptions {
  /** The directory to serve. It is held from now on, whatever happens to its name. */
  readonly path: string;
  /** `read-only` unless told: everything that would write answers EROFS. */
  readonly access?: "read-only" | "writable";
  /**
   * How it is confined: `descriptors` where there is /proc/self/fd (Linux), else `paths`, which guarantees less (see the
   * README). Ask for `descriptors` to get an error rather than less.
   */
  readonly confinement?: Confinement;
  /** Seconds for which the guest may believe names and attributes; 1 unless told. */
  readonly validSeconds?: number;
  /** READs of at least this many bytes go to the thread pool, with one more copy; none unless told. */
  readonly poolReadBytes?: number;
  /** Descriptors that hold inodes which the guest knows (none with `paths`); a quarter of the process's limit, at most 2,048, unless told. */
  readonly maxPathDescriptors?: number;
  /** Files and directories that the guest may have open; half of the process's limit unless told. */
  readonly maxOpenHandles?: number;
  /** Told once when the directory is confined through paths; nobody unless given. */
  readonly log?: Log;
}

const DEFAULT_PATH_DESCRIPTORS = 2048;
/** A rename works with two directories, and each may have to be opened again. */
const LEAST_PATH_DESCRIPTORS = 4;
const PATHS_WARNING =
  "the directory is confined by checking paths: when a local program swaps directories for links while a file is being opened, that is found out afterwards, not prevented (only Linux' /proc/self/fd prevents it)";

export function limitsOf(options: HostDirectoryOptions): { pathDescriptors: number; openHandles: number } {
  const limit = descriptorLimit();
  const paths = options.maxPathDescriptors ?? Math.min(DEFAULT_PATH_DESCRIPTORS, Math.floor(limit / 4));
  return {
    pathDescriptors: Math.max(paths, LEAST_PATH_DESCRIPTORS),
    openHandles: options.maxOpenHandles ?? Math.floor(limit / 2),
  };
}

/** @throws HostDirectoryError */
export function openReach(options: HostDirectoryOptions, pathDescriptors: number): Reach {
  const { path, confinement = bestConfinement(), log } = options;
  if (confinement === "descriptors") return new DescriptorReach(path, pathDescriptors);
  const reach = new PathReach(path);
  log?.warn(PATHS_WARNING, { directory: path });
  return reach;
}
