/** What is said between a measuring process and the ends that it starts. */
import type { MessagePort } from "node:worker_threads";
import type { Job, PingReport } from "../job.ts";

/** Where a socket client connects. */
export type Target =
  | { readonly kind: "tcp"; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  /** A vsock device's host side: `CONNECT port`, then the guest's stream. */
  | { readonly kind: "vsock"; readonly path: string; readonly guestPort: number };

export interface ClientTask {
  readonly target: Target;
  readonly job: Job;
}

export type TaskReply =
  | { readonly kind: "report"; readonly report: PingReport }
  | { readonly kind: "failed"; readonly message: string };

/** From a socket server, once. */
export interface ServerUp {
  readonly kind: "up";
  readonly target: Target;
}

/** One end of a MessageChannel, in a thread. */
export interface ThreadRole {
  readonly end: "ping" | "pong";
  readonly port: MessagePort;
  readonly how: "copy" | "transfer";
  /** The processor it is to stay on, where that can be had. */
  readonly cpu: number | undefined;
}
