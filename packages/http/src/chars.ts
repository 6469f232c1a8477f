/** Character classes of RFC 9110 §5.6.2 and RFC 9112, as tables: one load per byte. */

/** For a `tchar` its lower-case form (itself when it has none), 0 for every other byte. */
export const TOKEN_LOWER: Uint8Array = tokenTable();
/** 1 for the bytes of a field value: visible ASCII, obs-text, space and tab (RFC 9110 §5.5). No CR, LF, NUL, DEL. */
export const FIELD_VALUE: Uint8Array = table((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));
/** What a field value is mostly made of: visible ASCII and obs-text map to themselves, every other byte to 0. */
export const VALUE_PLAIN: Uint8Array = selfTable((byte) => byte > 0x20 && byte !== 0x7f);
/** The bytes of TARGET map to themselves, every other byte to 0. */
export const TARGET_PLAIN: Uint8Array = selfTable((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);
/** 1 for visible ASCII but `#`: a request target holds no blank, no control, no raw non-ASCII and no fragment. */
export const TARGET: Uint8Array = table((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);
/** The value of a hexadecimal digit, 0xff for every other byte. */
export const HEX: Uint8Array = hexTable();
/** 1 for what a host with an optional port is written with (RFC 3986 §3.2.2); the comma is left out: it joins fields. */
export const HOST: Uint8Array = table((byte) => /[A-Za-z0-9\-._~%!$&'()*+;=:[\]]/.test(String.fromCharCode(byte)));

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Bytes as Latin-1 text, which is what HTTP's fields and targets are. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

/** Whether the bytes spell `text`. */
export function spells(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Whether the bytes spell the lower-case ASCII `text`, in any case. */
export function spellsIgnoringCase(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i] as number;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    if (lower !== text.charCodeAt(i)) return false;
  }
  return true;
}

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

function selfTable(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? byte : 0));
}

function tokenTable(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char) ? char.toLowerCase().charCodeAt(0) : 0;
  });
}

function hexTable(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return /[0-9A-Fa-f]/.test(char) ? Number.parseInt(char, 16) : 0xff;
  });
}
