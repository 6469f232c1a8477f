/** What a socket is doing: one of these, never a set of flags. */
import type { VsockConnection, VsockListener } from "@toril/vsock";
import type { ConnectWait } from "./waits.ts";

export type SocketState =
  /** Fresh or bound; also after a connect that failed: it may try again. */
  | { readonly kind: "unconnected" }
  | { readonly kind: "listening"; readonly listener: VsockListener }
  | { readonly kind: "connecting"; readonly connection: VsockConnection; wait: ConnectWait | undefined }
  /** Was established once. How it stands since, and how it ended, the connection itself says. */
  | { readonly kind: "connected"; readonly connection: VsockConnection }
  /** Given back: every call is EBADF. */
  | { readonly kind: "closed" };

export const UNCONNECTED: SocketState = { kind: "unconnected" };
export const CLOSED: SocketState = { kind: "closed" };
