/** What a server needs of its surroundings, and how it is set up. */
import type { SocketCalls } from "@toril/sockets";
import type { Clock, Log, TextCodec } from "@toril/virtio/platform";
import type { HttpResponse } from "./body.ts";
import type { ServerLimits } from "./limits.ts";
import type { HttpRequest, PeerAddress } from "./request.ts";

export interface HttpEnvironment {
  /** The calls of the thread that accepts. */
  readonly sockets: SocketCalls;
  /** For timeouts and latencies. */
  readonly clock: Clock;
  /** Milliseconds since 1970, for the Date field. */
  wallClock(): number;
  /** Starts a thread for one connection, with socket calls of its own. */
  spawn(task: (sockets: SocketCalls) => Promise<void>): void;
  readonly log?: Log;
  /** Faster text for large bodies; without it the server's own UTF-8 is used. */
  readonly text?: TextCodec;
}

/**
 * Answers a request. When it answers without a promise, the response is on its way before it returns to the connection.
 * What it throws is answered with 500, an HttpError with its status.
 */
export type HttpHandler = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

/** One line of an access log. */
export interface AccessEntry {
  readonly peer: PeerAddress;
  /** Empty when the request could not be read. */
  readonly method: string;
  readonly target: string;
  readonly httpVersion: "1.0" | "1.1";
  readonly status: number;
  /** Bytes of the response, head and body, that the connection took. */
  readonly bytes: number;
  /** Milliseconds from the end of the request's head to the last byte that the connection took. */
  readonly latencyMs: number;
  /** `cut-off`: the response did not go out whole. */
  readonly outcome: "sent" | "cut-off";
}

export interface HttpServerOptions {
  /** What differs from SERVER_LIMITS. */
  readonly limits?: Partial<ServerLimits>;
  /** Called after each response. */
  readonly onAccess?: (entry: AccessEntry) => void;
}
