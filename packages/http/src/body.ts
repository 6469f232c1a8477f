/** What a response may carry. */
import type { DmaBuffer } from "@toril/memory";

/** A run of body bytes in a guest buffer. */
export interface LentPiece {
  readonly buffer: DmaBuffer;
  readonly offset: number;
  /** Bytes; more than 0. */
  readonly length: number;
  /** Called once, without `this`, when the server and the device are done with the piece; also when the response fails. */
  readonly done: () => void;
}

/**
 * A body whose bytes lie in guest buffers, piece after piece. On a zero-copy connection the device reads them where they
 * are. The next piece is asked for while earlier ones may still be lent.
 */
export interface LentBody {
  /** Bytes in all: the response's Content-Length. */
  readonly length: number;
  /**
   * The next piece, at best no longer than `most` bytes: what the connection takes now. It is asked for only when the
   * connection takes something, so a client that stalls holds no piece; what is longer is held until it has gone.
   * `undefined` when there is no more. When that comes before `length` bytes did (a file shrank), the
   * connection is cut: a body is never padded.
   */
  next(most: number): LentPiece | undefined | Promise<LentPiece | undefined>;
  /** No more pieces will be asked for. Called once; also for HEAD, where none was. Pieces may still be lent. */
  close(): void;
}

/**
 * Text goes as UTF-8. An async iterable is sent in chunks as it comes; to an HTTP/1.0 client until the connection closes.
 */
export type ResponseBody = string | Uint8Array | LentBody | AsyncIterable<Uint8Array>;

export type FieldValue = string | number | readonly string[];

/** Fields that many responses have in common, checked and written out once: `prepareFields` makes them. */
export class PreparedFields {
  /** The lines as they go into a head. */
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export interface HttpResponse {
  /** 200 to 599. */
  readonly status: number;
  /**
   * Fields by name. The server adds Date, Content-Length, Transfer-Encoding and Connection; of these a handler may give
   * Date, `Connection: close`, and Content-Length where there is no body to measure (an answer to HEAD).
   */
  readonly headers?: Readonly<Record<string, FieldValue>> | PreparedFields;
  readonly body?: ResponseBody;
}

export function isLentBody(body: ResponseBody): body is LentBody {
  return typeof body === "object" && "next" in body && "close" in body && "length" in body;
}
