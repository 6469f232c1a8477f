/** For the tests: what our parser makes of a whole byte stream that comes in pieces. */

import { latin1 } from "../chars.ts";
import { ChunkedDecoder } from "../chunked.ts";
import { PARSER_LIMITS, type ParserLimits } from "../limits.ts";
import { RequestParser } from "../parser.ts";

interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly minorVersion: number;
  readonly fields: readonly (readonly [string, string])[];
  /** Latin-1. */
  body: string;
  /** `open`: more of the body was to come. */
  end: "whole" | "open";
}

export interface ReadResult {
  readonly requests: ReadRequest[];
  readonly failure: { readonly status: number; readonly reason: string } | undefined;
}

/** Reads requests until the bytes end, one fails, or one closes the connection. */
export function readStream(pieces: Iterable<Uint8Array>, limits: ParserLimits = PARSER_LIMITS): ReadResult {
  const parser = new RequestParser(limits);
  const decoder = new ChunkedDecoder(limits);
  const requests: ReadRequest[] = [];
  let current: ReadRequest | undefined;
  let left = 0;
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (current === undefined) {
        at = parser.feed(piece, at, piece.length);
        if (parser.failure !== undefined) return { requests, failure: parser.failure };
        if (parser.state !== "complete") continue;
        const { fields, framing } = parser;
        current = {
          method: parser.method,
          target: parser.target,
          minorVersion: parser.minorVersion,
          fields: Array.from(
            { length: fields.count },
            (_, index) => [fields.name(index), fields.value(index)] as const,
          ),
          body: "",
          end: "open",
        };
        requests.push(current);
        left = framing.contentLength;
        decoder.reset();
      } else if (parser.framing.body === "length") {
        const end = Math.min(piece.length, at + left);
        current.body += latin1(piece, at, end);
        left -= end - at;
        at = end;
      } else {
        at = decoder.feed(piece, at, piece.length);
        current.body += latin1(piece, decoder.dataStart, decoder.dataEnd);
        if (decoder.failure !== undefined) return { requests, failure: decoder.failure };
      }
      const { body } = parser.framing;
      const whole = body === "none" || (body === "length" ? left === 0 : decoder.state === "done");
      if (!whole) continue;
      current.end = "whole";
      current = undefined;
      if (parser.framing.connection === "close") return { requests, failure: undefined };
      parser.reset();
    }
  }
  return { requests, failure: undefined };
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
