/** What all connections of a server share. */
import type { Clock, Log, TextCodec } from "@toril/virtio/platform";
import type { DateCache } from "./date.ts";
import type { Desks } from "./desk.ts";
import type { AccessEntry, HttpHandler } from "./environment.ts";
import type { HeadBuilder } from "./head-builder.ts";
import type { ServerLimits } from "./limits.ts";
import type { Counters } from "./stats.ts";

export interface ServerContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly text: TextCodec | undefined;
  readonly limits: ServerLimits;
  readonly handler: HttpHandler;
  readonly onAccess: ((entry: AccessEntry) => void) | undefined;
  readonly counters: Counters;
  readonly dates: DateCache;
  readonly desks: Desks;
  /** Heads are built here and sent at once; what is not taken is copied away. */
  readonly builder: HeadBuilder;
  /** `stopping`: responses say that the connection closes. */
  readonly phase: "serving" | "stopping" | "stopped";
}
