/** Which bytes of a file a request gets: preconditions first, then the range (RFC 9110 §13.2.2). */
import fresh from "fresh";
import { parseByteRange } from "./byte-range.ts";

/** The part of the request that decides. Field names in lower case. */
export interface SelectionHeaders {
  readonly "if-none-match"?: string | undefined;
  readonly "if-modified-since"?: string | undefined;
  readonly "if-match"?: string | undefined;
  readonly "if-unmodified-since"?: string | undefined;
  readonly "if-range"?: string | undefined;
  readonly range?: string | undefined;
  readonly "cache-control"?: string | undefined;
}

export interface Validators {
  readonly etag: string;
  /** IMF-fixdate. */
  readonly lastModified: string;
  readonly size: number;
}

export type Selection =
  | { readonly kind: "not-modified" }
  | { readonly kind: "precondition-failed" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number };

const WHOLE: Selection = { kind: "whole" };

/** @returns what to send; `part` has an inclusive `end`, as on the wire. */
export function select(headers: SelectionHeaders, validators: Validators): Selection {
  const { etag, lastModified, size } = validators;
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined) {
    if (!matchesStrongly(ifMatch, etag)) return { kind: "precondition-failed" };
  } else if (isBefore(headers["if-unmodified-since"], lastModified)) {
    return { kind: "precondition-failed" };
  }
  if (headers["if-none-match"] !== undefined || headers["if-modified-since"] !== undefined) {
    // Only a reload (`no-cache`) makes `fresh` say no to a match; a validating request asks for a 304 all the same.
    const request = { "if-none-match": headers["if-none-match"], "if-modified-since": headers["if-modified-since"] };
    if (fresh(request, { etag, "last-modified": lastModified })) return { kind: "not-modified" };
  }
  if (headers.range === undefined || !rangeStillApplies(headers["if-range"], validators)) return WHOLE;
  const range = parseByteRange(headers.range, size);
  return range.kind === "ignore" ? WHOLE : range;
}

/** §13.1.5: strong comparison; a date applies only when it is exactly the Last-Modified that we sent. */
function rangeStillApplies(ifRange: string | undefined, { etag, lastModified }: Validators): boolean {
  if (ifRange === undefined) return true;
  return ifRange.startsWith('"') ? ifRange === etag : ifRange === lastModified;
}

function matchesStrongly(list: string, etag: string): boolean {
  return list.trim() === "*" || list.split(",").some((tag) => tag.trim() === etag);
}

/** §13.1.4: an invalid date is as if the field were not there. */
function isBefore(date: string | undefined, lastModified: string): boolean {
  if (date === undefined) return false;
  const limit = Date.parse(date);
  return !Number.isNaN(limit) && Date.parse(lastModified) > limit;
}
