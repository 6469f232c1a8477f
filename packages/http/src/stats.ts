/** Counters of a server: plain numbers, readable at any time. They only grow, but `connectionsOpen`. */
export interface HttpStats {
  readonly connectionsOpen: number;
  readonly connectionsAccepted: number;
  /** Told 503 because there were too many. */
  readonly connectionsRefused: number;
  /** Requests whose head was read. */
  readonly requests: number;
  /** Responses by the first digit of their status: index 1 to 5. */
  readonly responses: readonly number[];
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Requests that were refused for how they are written. */
  readonly badRequests: number;
  /** Connections that ended because the client was too slow, by what was waited for. */
  readonly timeouts: { readonly idle: number; readonly head: number; readonly body: number; readonly write: number };
  /** Responses that were cut off, by the client or because a body ended too early. */
  readonly cutOff: number;
  readonly handlerErrors: number;
}

/** The same, writable: the server's own. */
export interface Counters extends HttpStats {
  connectionsOpen: number;
  connectionsAccepted: number;
  connectionsRefused: number;
  requests: number;
  responses: number[];
  bytesReceived: number;
  bytesSent: number;
  badRequests: number;
  timeouts: { idle: number; head: number; body: number; write: number };
  cutOff: number;
  handlerErrors: number;
}

export function newCounters(): Counters {
  return {
    connectionsOpen: 0,
    connectionsAccepted: 0,
    connectionsRefused: 0,
    requests: 0,
    responses: [0, 0, 0, 0, 0, 0],
    bytesReceived: 0,
    bytesSent: 0,
    badRequests: 0,
    timeouts: { idle: 0, head: 0, body: 0, write: 0 },
    cutOff: 0,
    handlerErrors: 0,
  };
}
