/**
 * The lines on the Unix socket, as Firecracker has them: a client's first, `CONNECT <port>\n`, and the answer to it,
 * `OK <host port>\n`. Pure readers: bytes in, what they mean out.
 */

/** "CONNECT 4294967294\n" has 19 bytes; a little more is let through so that the answer can be a clear one. */
export const MAX_LINE = 64;

export type ConnectLine =
  | { readonly kind: "incomplete" }
  | { readonly kind: "connect"; readonly port: number; readonly rest: Uint8Array }
  | { readonly kind: "bad"; readonly reason: string };

/** Reads the line from everything that has arrived so far. */
export function readConnectLine(bytes: Uint8Array): ConnectLine {
  const end = bytes.indexOf(0x0a);
  if (end === -1) {
    return bytes.length < MAX_LINE
      ? { kind: "incomplete" }
      : { kind: "bad", reason: `a line of more than ${MAX_LINE} bytes` };
  }
  if (end >= MAX_LINE) return { kind: "bad", reason: `a line of more than ${MAX_LINE} bytes` };
  const line = Buffer.from(bytes.subarray(0, end)).toString("latin1");
  const digits = /^CONNECT (\d{1,10})\r?$/i.exec(line)?.[1];
  const port = Number(digits);
  if (digits === undefined || port > 0xffff_fffe) return { kind: "bad", reason: "the line is not CONNECT <port>" };
  return { kind: "connect", port, rest: bytes.subarray(end + 1) };
}

export type OkLine =
  | { readonly kind: "incomplete" }
  | { readonly kind: "ok"; readonly rest: Uint8Array }
  | { readonly kind: "bad"; readonly reason: string };

/** Reads the answer from everything that has arrived so far. */
export function readOkLine(bytes: Uint8Array): OkLine {
  const end = bytes.subarray(0, MAX_LINE).indexOf(0x0a);
  if (end === -1) {
    if (bytes.length < MAX_LINE) return { kind: "incomplete" };
    return { kind: "bad", reason: `a line of more than ${MAX_LINE} bytes` };
  }
  const line = Buffer.from(bytes.subarray(0, end)).toString("latin1");
  if (!/^OK \d{1,10}\r?$/.test(line)) return { kind: "bad", reason: `the answer is not OK <port>: ${line}` };
  return { kind: "ok", rest: bytes.subarray(end + 1) };
}
