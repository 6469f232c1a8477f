/** From a request target to a path in the mount (RFC 9110 §4.2, RFC 3986 §3.3 and §6.2.2). */

/** Where a request target leads. */
export interface RequestPath {
  /** Absolute path, dot segments resolved, percent-decoding done: a string when it is UTF-8, else its bytes. */
  readonly path: string | Uint8Array;
  /** Whether the target ended in `/` (or in a dot segment), that is, names a directory. */
  readonly directory: boolean;
  /** The same path with one character per byte: names it in maps. */
  readonly key: string;
  /** The path percent-encoded again, without dot segments and double slashes: safe in a Location. */
  readonly encoded: string;
  /** The last name, decoded for people and for the type table. */
  readonly name: string;
  /** The query with its `?`, or an empty string. */
  readonly query: string;
}

/**
 * Reads a request target in origin form.
 * @returns `undefined` when it is malformed: bad percent-encoding, an encoded `/` or NUL, or not absolute. An encoded
 *   slash is refused because it could not name a file and has fooled many a path check.
 */
export function parseRequestPath(target: string): RequestPath | undefined {
  if (!target.startsWith("/")) return undefined;
  const queryAt = target.indexOf("?");
  const raw = queryAt < 0 ? target : target.slice(0, queryAt);
  const query = queryAt < 0 ? "" : target.slice(queryAt);
  const names: string[] = [];
  let directory = false;
  for (const segment of raw.split("/").slice(1)) {
    const decoded = decodeSegment(segment);
    if (decoded === undefined) return undefined;
    directory = decoded === "" || decoded === "." || decoded === "..";
    if (decoded === "..") names.pop();
    else if (!directory) names.push(decoded);
  }
  const key = `/${names.join("/")}`;
  const encoded = `/${names.map(encodeSegment).join("/")}`;
  return { path: fromBinary(key), key, encoded, directory, name: toText(names.at(-1) ?? ""), query };
}

/** Targets that are remembered, and how long they may be: clients ask for the same few again and again. */
const KNOWN = 256;
const KNOWN_LENGTH = 256;

/** Reads request targets, and remembers what they led to. */
export class KnownPaths {
  readonly #known = new Map<string, RequestPath>();

  /** @returns as parseRequestPath does */
  read(target: string): RequestPath | undefined {
    const known = this.#known.get(target);
    if (known !== undefined) return known;
    const path = parseRequestPath(target);
    if (path === undefined || target.length > KNOWN_LENGTH) return path;
    if (this.#known.size === KNOWN) this.#known.clear();
    this.#known.set(target, path);
    return path;
  }
}

const PERCENT = 0x25;

/** Percent-decodes one segment to a "binary" string: one character per byte. */
function decodeSegment(segment: string): string | undefined {
  let out = "";
  for (let i = 0; i < segment.length; i++) {
    let byte = segment.charCodeAt(i);
    if (byte === PERCENT) {
      const digits = segment.slice(i + 1, i + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return undefined;
      byte = Number.parseInt(digits, 16);
      if (byte === 0 || byte === 0x2f) return undefined;
      i += 2;
    }
    if (byte === 0 || byte > 0xff) return undefined;
    out += String.fromCharCode(byte);
  }
  return out;
}

/** RFC 3986 §2.3: all but the unreserved characters. */
function encodeSegment(binary: string): string {
  return binary.replace(/[^A-Za-z0-9._~-]/g, escapeByte);
}

/** A binary string as text when it is well-formed UTF-8, else as the bytes it stands for. */
function fromBinary(binary: string): string | Uint8Array {
  try {
    return decodeURIComponent(escapeBytes(binary));
  } catch {
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  }
}

function toText(binary: string): string {
  const text = fromBinary(binary);
  return typeof text === "string" ? text : binary;
}

/** Every byte that is not plain ASCII, and `%` itself, as a percent escape: what decodeURIComponent takes. */
function escapeBytes(binary: string): string {
  return binary.replace(/[^\x01-\x24\x26-\x7e]/g, escapeByte);
}

function escapeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
