/** The kernel's messages between cores: JSON, because they are few, small and structured. Checked when they come in. */
import { type TextCodec, textCodec } from "@toril/virtio/platform";
import type { ThreadExit } from "./thread-calls.ts";

/** How a thread ended, as far as JSON can carry it. */
export type RemoteExit =
  | { readonly kind: "returned"; readonly value?: unknown }
  | { readonly kind: "failed"; readonly message: string; readonly stack?: string }
  | { readonly kind: "cancelled"; readonly reason?: unknown };

/** `request` is chosen by the core that spawns, and names the thread between the two cores. */
export type RemoteMessage =
  | {
      readonly kind: "spawn";
      readonly request: number;
      readonly module: string;
      readonly export: string;
      readonly args?: unknown;
      readonly name?: string;
    }
  | { readonly kind: "spawned"; readonly request: number; readonly thread: number; readonly name: string }
  | { readonly kind: "refused"; readonly request: number; readonly errno: number; readonly detail: string }
  | { readonly kind: "ended"; readonly request: number; readonly exit: RemoteExit }
  | { readonly kind: "cancel"; readonly request: number; readonly reason?: unknown };

const codec: TextCodec = textCodec();

/** @throws TypeError when it holds something that JSON cannot carry (a cycle, a BigInt). */
export function encodeMessage(message: RemoteMessage): Uint8Array {
  return codec.encode(JSON.stringify(message));
}

/** `undefined`: not a message of ours. */
export function decodeMessage(bytes: Uint8Array): RemoteMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(codec.decode(bytes));
  } catch {
    return undefined;
  }
  return isMessage(value) ? value : undefined;
}

/** The exit of a thread for the way; a value that JSON cannot carry, or too large a one, becomes a failure. */
export function encodeExit(request: number, exit: ThreadExit, maxBytes: number): Uint8Array {
  const encode = (remote: RemoteExit): Uint8Array => encodeMessage({ kind: "ended", request, exit: remote });
  try {
    const bytes = encode(exit.kind === "failed" ? describeFailure(exit.error) : exit);
    if (bytes.length <= maxBytes) return bytes;
  } catch (error) {
    return encode({ kind: "failed", message: `the thread's result cannot be sent: ${String(error)}`.slice(0, 500) });
  }
  if (exit.kind !== "failed")
    return encode({ kind: "failed", message: `the thread's result is above ${maxBytes} bytes` });
  return encode({ kind: "failed", message: exit.error.message.slice(0, Math.floor(maxBytes / 16)) });
}

/** The way back. */
export function receivedExit(exit: RemoteExit): ThreadExit {
  switch (exit.kind) {
    case "returned":
      return { kind: "returned", value: exit.value };
    case "cancelled":
      return { kind: "cancelled", reason: exit.reason };
    case "failed": {
      const error = new Error(exit.message);
      if (exit.stack !== undefined) error.stack = exit.stack;
      return { kind: "failed", error };
    }
    default:
      return exit satisfies never;
  }
}

function describeFailure(error: Error): RemoteExit {
  return { kind: "failed", message: error.message, ...(error.stack === undefined ? {} : { stack: error.stack }) };
}

function isMessage(value: unknown): value is RemoteMessage {
  if (!isRecord(value) || !Number.isSafeInteger(value["request"])) return false;
  switch (value["kind"]) {
    case "spawn":
      return (
        typeof value["module"] === "string" && typeof value["export"] === "string" && isOptionalString(value["name"])
      );
    case "spawned":
      return Number.isSafeInteger(value["thread"]) && typeof value["name"] === "string";
    case "refused":
      return Number.isSafeInteger(value["errno"]) && typeof value["detail"] === "string";
    case "ended":
      return isExit(value["exit"]);
    case "cancel":
      return true;
    default:
      return false;
  }
}

function isExit(value: unknown): value is RemoteExit {
  if (!isRecord(value)) return false;
  const { kind } = value;
  if (kind === "failed") return typeof value["message"] === "string" && isOptionalString(value["stack"]);
  return kind === "returned" || kind === "cancelled";
}

const isOptionalString = (value: unknown): boolean => value === undefined || typeof value === "string";
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
