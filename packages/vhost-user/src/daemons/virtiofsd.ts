/**
 * virtiofsd, both of them: QEMU's in C (Debian bookworm's qemu-system-common) and the one in Rust that took its place.
 * Their options differ. Each serves one front-end, then ends.
 */
import { execFileSync } from "node:child_process";
import type { Log } from "@toril/virtio/platform";
import { type Daemon, DaemonError, startDaemon } from "./daemon.ts";
import { findDaemons } from "./find.ts";

export interface VirtiofsdOptions {
  /** The directory to serve. */
  readonly directory: string;
  /** Which one; the first that is installed unless told. */
  readonly command?: string;
  /** How long the guest may believe what it was told; `auto` unless told. */
  readonly cache?: "none" | "auto" | "always";
  /** `read-only` where the daemon can refuse changes (Rust; the C one cannot); `writable` unless told. */
  readonly access?: "read-only" | "writable";
  /** Config space has this tag, where the daemon can say it (Rust). */
  readonly tag?: string;
  /** More options, as this virtiofsd has them. */
  readonly flags?: readonly string[];
  readonly log?: Log;
}

export type VirtiofsdKind = "c" | "rust";

export interface VirtiofsdVersion {
  readonly kind: VirtiofsdKind;
  /** Such as `7.2.22` or `1.14.0`. */
  readonly version: string;
}

const SOCKET = "virtiofsd.sock";

/** @throws DaemonError when it is not installed or does not start */
export async function startVirtiofsd(options: VirtiofsdOptions): Promise<Daemon> {
  const command = options.command ?? findDaemons("virtiofsd")[0];
  if (command === undefined) {
    throw new DaemonError("virtiofsd is not installed: use your distribution's package (Debian: qemu-system-common)");
  }
  const { kind } = virtiofsdVersion(command);
  return startDaemon({
    name: "virtiofsd",
    command,
    socket: SOCKET,
    flags: (folder) => {
      const flags = kind === "rust" ? rustFlags : cFlags;
      return [...flags(`${folder}/${SOCKET}`, options), ...(options.flags ?? [])];
    },
    ...(options.log === undefined ? {} : { log: options.log }),
  });
}

/** @throws DaemonError when it does not tell */
export function virtiofsdVersion(command: string): VirtiofsdVersion {
  let said: string;
  try {
    said = execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (error) {
    throw new DaemonError(`${command} --version failed: ${String(error)}`);
  }
  // "virtiofsd 1.14.0" says the one, "virtiofsd version 7.2.22 (Debian …)" and lines about FUSE the other.
  const version = /\d+(\.\d+)+/.exec(said)?.[0];
  if (version === undefined) throw new DaemonError(`${command} --version says ${JSON.stringify(said)}`);
  return { kind: /fuse|copyright/i.test(said) ? "c" : "rust", version };
}

/** Only root may make the namespaces that both lock themselves into; without, chroot is not to be had either. */
const isRoot = (): boolean => process.getuid?.() === 0;

function cFlags(socket: string, { directory, cache = "auto" }: VirtiofsdOptions): string[] {
  // Commas separate options; a backslash takes a comma's meaning away.
  const source = directory.replace(/[\\,]/g, "\\$&");
  return [`--socket-path=${socket}`, "-o", `source=${source}`, "-o", `cache=${cache}`, "--thread-pool-size=0"];
}

function rustFlags(socket: string, { directory, cache = "auto", access, tag }: VirtiofsdOptions): string[] {
  const readOnly = access === "read-only" ? ["--readonly"] : [];
  const sandbox = isRoot() ? [] : ["--sandbox=none"];
  const named = tag === undefined ? [] : [`--tag=${tag}`];
  // "none" has become "never": no data is cached, not even while a file is open.
  const policy = cache === "none" ? "never" : cache;
  return [
    `--socket-path=${socket}`,
    `--shared-dir=${directory}`,
    `--cache=${policy}`,
    ...readOnly,
    ...named,
    ...sandbox,
  ];
}
