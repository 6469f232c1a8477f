/** UTF-8 out of a string, straight into a buffer. Lone surrogates become U+FFFD, as everywhere. */

const REPLACEMENT = 0xfffd;

/** Bytes that `text` takes. */
export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const point = codePoint(text, i);
    if (point > 0xffff) i++;
    length += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
  }
  return length;
}

/** Writes `text` at `offset`; the caller has made sure that it fits. Returns the offset behind it. */
export function writeUtf8(text: string, target: Uint8Array, offset: number): number {
  let at = offset;
  for (let i = 0; i < text.length; i++) {
    const point = codePoint(text, i);
    if (point < 0x80) {
      target[at++] = point;
      continue;
    }
    if (point < 0x800) {
      target[at++] = 0xc0 | (point >> 6);
    } else if (point < 0x1_0000) {
      target[at++] = 0xe0 | (point >> 12);
      target[at++] = 0x80 | ((point >> 6) & 0x3f);
    } else {
      i++;
      target[at++] = 0xf0 | (point >> 18);
      target[at++] = 0x80 | ((point >> 12) & 0x3f);
      target[at++] = 0x80 | ((point >> 6) & 0x3f);
    }
    target[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}

function codePoint(text: string, index: number): number {
  const unit = text.charCodeAt(index);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const point = text.codePointAt(index) ?? REPLACEMENT;
  return point > 0xffff ? point : REPLACEMENT;
}

/**
 * The text of UTF-8 bytes, for when no TextCodec was given. What is ill-formed becomes U+FFFD, one for each longest run that
 * could have begun a character: as TextDecoder does.
 */
export function readUtf8(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i] as number;
    const more = followers(first);
    let point = first & (more === 0 ? 0x7f : 0x3f >> more);
    let taken = 1;
    while (taken <= more && continues(first, taken, bytes[i + taken] ?? 0)) {
      point = (point << 6) | ((bytes[i + taken] as number) & 0x3f);
      taken++;
    }
    text += String.fromCodePoint(taken === more + 1 ? point : REPLACEMENT);
    i += taken;
  }
  return text;
}

/** Bytes that follow a first byte; -1: it cannot be first. */
function followers(first: number): number {
  if (first < 0x80) return 0;
  if (first < 0xc2 || first > 0xf4) return -1;
  return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/** Unicode 15 table 3-7: the second byte keeps out overlong forms, surrogates, and what lies beyond U+10FFFF. */
function continues(first: number, place: number, byte: number): boolean {
  let low = 0x80;
  let high = 0xbf;
  if (place === 1) {
    if (first === 0xe0) low = 0xa0;
    else if (first === 0xed) high = 0x9f;
    else if (first === 0xf0) low = 0x90;
    else if (first === 0xf4) high = 0x8f;
  }
  return byte >= low && byte <= high;
}
