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

/** The text of UTF-8 bytes; ill-formed sequences become U+FFFD. For when no TextCodec was given. */
export function readUtf8(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i] as number;
    const more =
      first < 0x80
        ? 0
        : first >= 0xc2 && first < 0xe0
          ? 1
          : first >= 0xe0 && first < 0xf0
            ? 2
            : first >= 0xf0 && first < 0xf5
              ? 3
              : -1;
    let point = more === 0 ? first : first & (0x3f >> more);
    let taken = 1;
    while (taken <= more && ((bytes[i + taken] ?? 0) & 0xc0) === 0x80) {
      point = (point << 6) | ((bytes[i + taken] as number) & 0x3f);
      taken++;
    }
    const whole = more >= 0 && taken === more + 1;
    const shortest = more < 2 || point >= (more === 2 ? 0x800 : 0x1_0000);
    const scalar = point <= 0x10_ffff && (point < 0xd800 || point > 0xdfff);
    text += String.fromCodePoint(whole && shortest && scalar ? point : REPLACEMENT);
    i += taken;
  }
  return text;
}
