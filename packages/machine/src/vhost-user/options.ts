/** What a vhost-user machine may be asked for, and what that means for each of its two devices. */
import type { CacheMode } from "@toril/virtio-fs";

/** Somebody's virtio-fs back-end, such as virtiofsd. */
export interface FilesBackEnd {
  /** Its vhost-user socket. */
  readonly socket: string;
  /** How long the guest may believe what it has cached; `auto` (a second) unless told. */
  readonly cache?: CacheMode;
  /** Guest memory for cached file bytes; a quarter of the core's memory unless told. */
  readonly cacheBytes?: number;
}

/** Somebody's virtio-vsock back-end, such as vhost-device-vsock. The guest's context id is the back-end's. */
export interface VsockBackEnd {
  /** Its vhost-user socket. */
  readonly socket: string;
  /** Its host side: a Unix socket that takes `CONNECT <port>`. Without it no port can be forwarded. */
  readonly uds?: string;
}

/**
 * Where the devices are. A device without a socket is our own, in the machine's thread; at least one has a socket, or
 * `spawn` starts the installed daemons: virtiofsd for the machine's directory, vhost-device-vsock where there is one.
 */
export interface VhostUserOptions {
  readonly fs?: FilesBackEnd;
  readonly vsock?: VsockBackEnd;
  readonly spawn?: true;
  /**
   * Milliseconds for a file device in another process to answer one request; 30,000 unless told. After that it is taken for
   * dead: calls end with EIO, and it is looked for, or started, again.
   */
  readonly answerTimeoutMs?: number;
}

const ANSWER_TIMEOUT_MS = 30_000;

/** Who serves the files. `own` and `spawn` serve the machine's directory. */
type FilesSource =
  | { readonly kind: "none" | "own" | "spawn" }
  | ({ readonly kind: "back-end" } & Required<FilesBackEnd>);

/** Who serves the network. */
type VsockSource =
  | { readonly kind: "own" | "spawn" }
  | { readonly kind: "back-end"; readonly socket: string; readonly uds: string | undefined };

export interface VhostUserSettings {
  readonly files: FilesSource;
  readonly vsock: VsockSource;
  readonly answerTimeoutMs: number;
}

/** What of the machine's other options the devices must agree with. */
export interface VhostUserContext {
  readonly directory: "given" | "none";
  readonly cid: "given" | "default";
  readonly cacheBytes: number;
}

/** @throws RangeError for combinations that make no machine */
export function vhostUserSettings(options: VhostUserOptions | undefined, context: VhostUserContext): VhostUserSettings {
  const { fs, vsock, spawn, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options ?? {};
  if (!(answerTimeoutMs > 0)) throw new RangeError(`answerTimeoutMs is ${answerTimeoutMs}: use more than 0`);
  const given = context.directory === "given";
  if (spawn === true) {
    if (fs !== undefined || vsock !== undefined) {
      throw new RangeError("spawn starts the daemons itself: give it no socket, or leave spawn out");
    }
    return { files: { kind: given ? "spawn" : "none" }, vsock: { kind: "spawn" }, answerTimeoutMs };
  }
  if (fs === undefined && vsock === undefined) {
    throw new RangeError("the vhost-user machine has no vhost-user device: give it a socket (fs, vsock), or spawn");
  }
  if (fs !== undefined && given) throw new RangeError("files come from a directory or from a back-end, not from both");
  if (vsock !== undefined && context.cid === "given") {
    throw new RangeError("the guest's context id is the vsock back-end's: do not give one");
  }
  const { cacheBytes } = context;
  return {
    files: fs === undefined ? { kind: given ? "own" : "none" } : { kind: "back-end", cache: "auto", cacheBytes, ...fs },
    answerTimeoutMs,
    vsock: vsock === undefined ? { kind: "own" } : { kind: "back-end", socket: vsock.socket, uds: vsock.uds },
  };
}
