/** What our figures are compared with: other ways to get bytes from one end to another, in the same run. */
import type { Job, PingReport } from "../job.ts";

export const PEER_NAMES = [
  "node-unix",
  "node-tcp",
  "message-port-copy",
  "message-port-transfer",
  "c-spin",
  "c-futex",
  "c-unix",
] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** What a run of a peer brings: no counters. */
export type PeerReport = Pick<PingReport, "samples" | "elapsedMs" | "messages">;

export interface Peer {
  readonly name: PeerName;
  run(job: Job): Promise<PeerReport>;
  stop(): Promise<void>;
}

export interface PeerOptions {
  /** The module of process.ts. */
  readonly process: URL;
  /** The folder of the C sources. */
  readonly sources: URL;
  /** Processors for the two ends of each peer; anywhere unless given. */
  readonly cpus: readonly [number, number] | undefined;
}
