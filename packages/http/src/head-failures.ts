/** The answers to heads that are not well formed. */
import type { RequestFailure } from "./failure.ts";

const failure = (status: number, reason: string): RequestFailure => ({ status, reason });

type Name =
  | "EMPTY_LINES"
  | "METHOD"
  | "METHOD_LONG"
  | "TARGET"
  | "TARGET_LONG"
  | "VERSION"
  | "VERSION_OTHER"
  | "LINE_END"
  | "FOLDED"
  | "NAME"
  | "VALUE"
  | "FIELDS"
  | "HEAD_LONG";

export const HeadFailure: Readonly<Record<Name, RequestFailure>> = {
  EMPTY_LINES: failure(400, "too many empty lines before the request"),
  METHOD: failure(400, "the method is not a token"),
  METHOD_LONG: failure(501, "the method is longer than any known"),
  TARGET: failure(400, "the request target holds a byte that does not belong there"),
  TARGET_LONG: failure(414, "the request target is too long"),
  VERSION: failure(400, "the request line does not end in an HTTP version"),
  VERSION_OTHER: failure(505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
  LINE_END: failure(400, "a line does not end in CR LF"),
  FOLDED: failure(400, "a field line begins with a blank"),
  NAME: failure(400, "a field name is not a token directly followed by a colon"),
  VALUE: failure(400, "a field value holds a control character"),
  FIELDS: failure(431, "too many fields"),
  HEAD_LONG: failure(431, "the fields are too long"),
};
