/**
 * Names are bytes, and bytes are poor keys of a Map. Inside the driver a name is a *byte string*: a string with one
 * character, U+0000 … U+00FF, per byte. A plain ASCII path is its own byte string, so the common case costs one scan.
 */
import { textCodec } from "@toril/virtio/platform";

declare const byteStringBrand: unique symbol;

/** One character per byte. */
export type ByteString = string & { readonly [byteStringBrand]: "ByteString" };

const utf8 = textCodec();

/** The bytes of a path or name: a string is taken as UTF-8, bytes as they are. */
export function byteString(text: string | Uint8Array): ByteString {
  if (typeof text !== "string") return fromBytes(text, 0, text.length);
  if (isAscii(text)) return text as ByteString;
  const bytes = utf8.encode(text);
  return fromBytes(bytes, 0, bytes.length);
}

/** The byte string of `bytes[start … end)`. */
export function fromBytes(bytes: Uint8Array, start: number, end: number): ByteString {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text as ByteString;
}

/** The bytes themselves. */
export function toBytes(name: ByteString): Uint8Array {
  const bytes = new Uint8Array(name.length);
  putBytes(name, bytes, 0);
  return bytes;
}

/** Writes the bytes; returns the offset behind them. */
export function putBytes(name: ByteString, target: Uint8Array, at: number): number {
  for (let i = 0; i < name.length; i++) target[at + i] = name.charCodeAt(i);
  return at + name.length;
}

/** The name as text, for people: UTF-8, with U+FFFD for each ill-formed part. */
export function decode(name: ByteString): string {
  return isAscii(name) ? name : utf8.decode(toBytes(name));
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
