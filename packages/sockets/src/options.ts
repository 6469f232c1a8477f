/** Socket options: set before there is a connection, they are kept and put on it when it comes. */
import { Errno, SystemError } from "@toril/virtio/platform";
import type { TxPath, VsockConnection } from "@toril/vsock";
import type { SocketOptions } from "./calls.ts";

/** What a program asked for; the driver decides about the rest. */
export interface WantedOptions {
  bufferSize?: number;
  noDelay?: boolean;
  txPath?: TxPath;
}

export type SettableOption = Exclude<keyof SocketOptions, "error">;

const TX_PATHS: readonly string[] = ["two-copy", "one-copy", "zero-copy"] satisfies TxPath[];
/** The most that the driver advertises; buf_alloc has 32 bits on the wire (virtio 1.3 §5.10.6). */
const MAX_BUFFER_SIZE = 2 ** 30;

/** @throws SystemError EINVAL for a bad value, ENOPROTOOPT for an option that is none or cannot be set. */
export function checkOption(name: string, value: unknown): void {
  let allowed: string;
  let good: boolean;
  switch (name) {
    case "bufferSize":
      allowed = `whole bytes from 1 to ${MAX_BUFFER_SIZE}`;
      good = typeof value === "number" && Number.isInteger(value) && value > 0 && value <= MAX_BUFFER_SIZE;
      break;
    case "noDelay":
      allowed = "true or false";
      good = typeof value === "boolean";
      break;
    case "txPath":
      allowed = TX_PATHS.join(", ");
      good = typeof value === "string" && TX_PATHS.includes(value);
      break;
    default:
      throw new SystemError(Errno.ENOPROTOOPT, "setOption", `${name}: set bufferSize, noDelay or txPath`);
  }
  if (!good) throw new SystemError(Errno.EINVAL, "setOption", `${name} = ${String(value)}: use ${allowed}`);
}

export function applyOptions(connection: VsockConnection, wanted: WantedOptions): void {
  if (wanted.bufferSize !== undefined) connection.bufAlloc = wanted.bufferSize;
  if (wanted.noDelay !== undefined) connection.coalesce = !wanted.noDelay;
  if (wanted.txPath !== undefined) connection.txPath = wanted.txPath;
}

/** What the connection does now. */
export function optionsOf(connection: VsockConnection): Required<WantedOptions> {
  return { bufferSize: connection.bufAlloc, noDelay: !connection.coalesce, txPath: connection.txPath };
}
