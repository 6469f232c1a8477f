/** What a client may ask for, and how long it may take. Every limit has a number: none is a way to hold the server. */

export interface ParserLimits {
  /** Bytes of a request target; more is 414. */
  readonly targetBytes: number;
  /** Bytes of request line and fields together; more is 431. */
  readonly headBytes: number;
  /** Number of fields; more is 431. */
  readonly fields: number;
  /** Bytes of chunk extensions in one body: they carry nothing, so a client that sends many is up to no good. */
  readonly chunkExtensionBytes: number;
  /** Bytes of trailer fields in one body. */
  readonly trailerBytes: number;
}

export const PARSER_LIMITS: ParserLimits = {
  targetBytes: 8 * 1024, // RFC 9112 §3: at least 8,000 octets
  headBytes: 16 * 1024, // Node's own default
  fields: 100,
  chunkExtensionBytes: 4 * 1024,
  trailerBytes: 8 * 1024,
};

export interface ServerLimits extends ParserLimits {
  /** Bytes of a request's body; more is 413. */
  readonly bodyBytes: number;
  /** Unread bytes of a request body that are read and dropped to keep the connection; more closes it. */
  readonly drainBytes: number;
  /** Connections at a time; one more is told 503 and closed. */
  readonly connections: number;
  /** Requests on one connection; then it is closed. */
  readonly requestsPerConnection: number;
  /** Milliseconds from the first byte of a request head to its last; then 408. */
  readonly headTimeoutMs: number;
  /** Milliseconds that a request body may stand still; then 408. */
  readonly bodyTimeoutMs: number;
  /** Milliseconds for a whole request body; then 408. Keeps out a client that sends a byte now and then. */
  readonly bodyTotalTimeoutMs: number;
  /** Milliseconds that a kept connection may be idle. */
  readonly idleTimeoutMs: number;
  /** Milliseconds in which a client must take WRITE_SLICE bytes; then the connection is reset. */
  readonly writeTimeoutMs: number;
}

export const SERVER_LIMITS: ServerLimits = {
  ...PARSER_LIMITS,
  bodyBytes: 1024 * 1024,
  drainBytes: 64 * 1024,
  connections: 1024,
  requestsPerConnection: 100_000,
  headTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  bodyTotalTimeoutMs: 300_000,
  idleTimeoutMs: 30_000,
  writeTimeoutMs: 30_000,
};

/** A slow client has `writeTimeoutMs` for each slice: with the defaults it must take 2 KiB a second. */
export const WRITE_SLICE: number = 64 * 1024;
