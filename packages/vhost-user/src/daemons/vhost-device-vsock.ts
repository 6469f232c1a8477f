/**
 * vhost-device-vsock (rust-vmm): a vsock device whose host side is a Unix socket. Who connects to it writes
 * `CONNECT <port>`; a guest's connection to a port goes to the socket `<uds>_<port>`. It serves one front-end after another.
 */
import { execFileSync } from "node:child_process";
import type { Log } from "@toril/virtio/platform";
import { type Daemon, DaemonError, startDaemon } from "./daemon.ts";
import { findDaemons } from "./find.ts";

export interface VhostDeviceVsockOptions {
  readonly guestCid: number;
  /** Which one; the first that is installed unless told. */
  readonly command?: string;
  /** The host side's Unix socket; `hostSocketPath` in the daemon's folder unless told. */
  readonly hostSocketPath?: string;
  readonly log?: Log;
}

export interface VsockDaemon extends Daemon {
  /** The host side's Unix socket. */
  readonly hostSocketPath: string;
}

const SOCKET = "vhost.sock";
const HOST_SOCKET = "host.sock";
/** Its receive window per connection: what a guest may send before it must wait for credit. 64 KiB unless told. */
const WINDOW = 262_144;

/** @throws DaemonError when it is not installed or does not start */
export async function startVhostDeviceVsock(options: VhostDeviceVsockOptions): Promise<VsockDaemon> {
  const command = options.command ?? findDaemons("vhost-device-vsock")[0];
  if (command === undefined) {
    throw new DaemonError("vhost-device-vsock is not installed: `cargo install vhost-device-vsock` builds it");
  }
  const hostSocket = (folder: string): string => options.hostSocketPath ?? `${folder}/${HOST_SOCKET}`;
  const daemon = await startDaemon({
    name: "vhost-device-vsock",
    command,
    socket: SOCKET,
    flags: (folder) => [
      `--guest-cid=${options.guestCid}`,
      `--socket=${folder}/${SOCKET}`,
      `--uds-path=${hostSocket(folder)}`,
      `--tx-buffer-size=${WINDOW}`,
    ],
    ...(options.log === undefined ? {} : { log: options.log }),
  });
  return Object.defineProperty(daemon, "hostSocketPath", { value: hostSocket(daemon.folder) }) as VsockDaemon;
}

/** Such as `0.3.0`. @throws DaemonError when it does not tell */
export function vhostDeviceVsockVersion(command: string): string {
  let said: string;
  try {
    said = execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (error) {
    throw new DaemonError(`${command} --version failed: ${String(error)}`);
  }
  const version = /\d+(\.\d+)+/.exec(said)?.[0];
  if (version === undefined) throw new DaemonError(`${command} --version says ${JSON.stringify(said)}`);
  return version;
}
