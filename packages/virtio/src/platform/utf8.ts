/**
 * UTF-8 as the Encoding Standard has it, in plain ECMAScript: the TextCodec of an engine that has no TextEncoder. Where
 * there is one, `textCodec` uses it, because it is many times faster.
 */
import type { TextCodec } from "./text.ts";

interface EncodingApi {
  readonly TextEncoder?: new () => { encode(text: string): Uint8Array };
  readonly TextDecoder?: new (label: string, options: { ignoreBOM: boolean }) => { decode(bytes: Uint8Array): string };
}

/** The engine's own codec, or ours where it has none. */
export function textCodec(): TextCodec {
  const api = globalThis as EncodingApi;
  const { TextEncoder: Encoder, TextDecoder: Decoder } = api;
  if (Encoder === undefined || Decoder === undefined) return plainTextCodec;
  const encoder = new Encoder();
  // A byte order mark is data like any other: a codec for file names must not swallow it.
  const decoder = new Decoder("utf-8", { ignoreBOM: true });
  const decode = (bytes: Uint8Array): string => {
    // A browser's decoder refuses shared memory; a private copy does everywhere.
    return decoder.decode(bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice());
  };
  return { encode: (text) => encoder.encode(text), decode };
}

/** UTF-8 without the Encoding API. */
export const plainTextCodec: TextCodec = { encode, decode };

const REPLACEMENT = 0xfffd;
/** Arguments of one String.fromCharCode call: far below every engine's limit. */
const CHUNK = 4_096;

function encode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3); // a UTF-16 unit takes 3 bytes at most
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.codePointAt(i) ?? REPLACEMENT;
    if (code > 0xffff) i++;
    else if (code >= 0xd800 && code <= 0xdfff) code = REPLACEMENT; // a lone surrogate
    if (code < 0x80) {
      bytes[at++] = code;
    } else if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 0x3f);
    } else if (code < 0x1_0000) {
      bytes[at++] = 0xe0 | (code >> 12);
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[at++] = 0x80 | (code & 0x3f);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[at++] = 0x80 | (code & 0x3f);
    }
  }
  return bytes.slice(0, at);
}

/**
 * The "UTF-8 decoder" of the Encoding Standard: a byte that cannot continue a sequence ends it with one U+FFFD and is
 * then looked at again as a first byte.
 */
function decode(source: Uint8Array): string {
  const bytes = source.slice(); // shared memory may change under our eyes: read once
  const units: number[] = [];
  let text = "";
  let code = 0;
  let needed = 0;
  let lower = 0x80;
  let upper = 0xbf;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (units.length >= CHUNK) {
      text += String.fromCharCode(...units);
      units.length = 0;
    }
    if (needed > 0) {
      if (byte < lower || byte > upper) {
        units.push(REPLACEMENT);
        needed = 0;
        lower = 0x80;
        upper = 0xbf;
        i--;
        continue;
      }
      lower = 0x80;
      upper = 0xbf;
      code = (code << 6) | (byte & 0x3f);
      needed--;
      if (needed === 0) pushCodePoint(units, code);
    } else if (byte < 0x80) {
      units.push(byte);
    } else if (byte >= 0xc2 && byte <= 0xdf) {
      needed = 1;
      code = byte & 0x1f;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      // No overlong forms, no surrogates.
      if (byte === 0xe0) lower = 0xa0;
      if (byte === 0xed) upper = 0x9f;
      needed = 2;
      code = byte & 0x0f;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      // No overlong forms, nothing above U+10FFFF.
      if (byte === 0xf0) lower = 0x90;
      if (byte === 0xf4) upper = 0x8f;
      needed = 3;
      code = byte & 0x07;
    } else {
      units.push(REPLACEMENT);
    }
  }
  if (needed > 0) units.push(REPLACEMENT);
  return text + String.fromCharCode(...units);
}

function pushCodePoint(units: number[], code: number): void {
  if (code < 0x1_0000) {
    units.push(code);
  } else {
    units.push(0xd800 + ((code - 0x1_0000) >> 10), 0xdc00 + ((code - 0x1_0000) & 0x3ff));
  }
}
