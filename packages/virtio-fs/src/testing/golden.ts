/** For tests of wire formats: bytes written down one field per line, `e8 03 00 00 | what it is`. */

/** @throws Error for anything but pairs of hexadecimal digits before the `|`. */
export function goldenBytes(text: string): Uint8Array {
  const digits = text
    .split("\n")
    .map((line) => line.replace(/\|.*/, ""))
    .join(" ");
  const pairs = digits.split(/\s+/).filter((pair) => pair !== "");
  return Uint8Array.from(pairs, (pair) => {
    if (!/^[0-9a-f]{2}$/i.test(pair)) throw new Error(`"${pair}" is not a byte in hexadecimal`);
    return Number.parseInt(pair, 16);
  });
}
