/** Which peers the interop tests can have here; without them they are skipped and say why, or fail where CI wants them. */
import type { TestContext } from "vitest";
import { findDaemons } from "../daemons/find.ts";
import { vhostDeviceVsockVersion } from "../daemons/vhost-device-vsock.ts";
import { type VirtiofsdKind, virtiofsdVersion } from "../daemons/virtiofsd.ts";
import { FfiUnavailable, libc } from "../ffi/libc.ts";

export interface Peer {
  /** With its version where it is there. */
  readonly title: string;
  /** Why it cannot be used; then there is no command. */
  readonly missing: string | undefined;
  readonly command: string;
}

const INSTALL = {
  c: "no C virtiofsd: install qemu-system-common",
  rust: "no Rust virtiofsd: run tooling/peers/install virtiofsd",
} as const;

export function virtiofsdPeer(kind: VirtiofsdKind): Peer {
  const name = kind === "c" ? "virtiofsd (C, QEMU)" : "virtiofsd (Rust)";
  const obstacle =
    ffiMissing() ?? (process.getuid?.() === 0 ? undefined : "virtiofsd sandboxes itself, which takes root");
  if (obstacle !== undefined) return absent(name, obstacle);
  for (const command of findDaemons("virtiofsd")) {
    const found = virtiofsdVersion(command);
    if (found.kind === kind) return { title: `${name} ${found.version}`, missing: undefined, command };
  }
  return absent(name, INSTALL[kind]);
}

export function vsockPeer(): Peer {
  const name = "vhost-device-vsock";
  const [command] = findDaemons("vhost-device-vsock");
  const obstacle = ffiMissing();
  if (obstacle !== undefined) return absent(name, obstacle);
  if (command === undefined) return absent(name, "no vhost-device-vsock: run tooling/peers/install vhost-device-vsock");
  return { title: `${name} ${vhostDeviceVsockVersion(command)}`, missing: undefined, command };
}

declare module "vitest" {
  interface TaskMeta {
    /** What the peer of this test does not do, as it was seen: docs/interop.md says it. */
    peerLimit?: string;
  }
}

/** Notes what a peer does not do, with the evidence. */
export function notePeerLimit(context: TestContext, limit: string): void {
  context.task.meta.peerLimit = limit;
}

/** Skips the test without the peer; fails instead under TORIL_REQUIRE_PEERS=1. */
export function needPeer(peer: Peer, context: TestContext): void {
  if (peer.missing === undefined) return;
  if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error(`TORIL_REQUIRE_PEERS=1, but ${peer.missing}`);
  context.skip(peer.missing);
}

function absent(title: string, missing: string): Peer {
  return { title, missing, command: "" };
}

function ffiMissing(): string | undefined {
  try {
    libc();
    return undefined;
  } catch (error) {
    if (error instanceof FfiUnavailable) return error.message;
    throw error;
  }
}
