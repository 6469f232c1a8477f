/** What the operations (`*-operations.ts`) need of the server that calls them. */
import type { MaybePromise } from "@toril/virtio";
import { type Opaque64, opaqueToNumber } from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import type { Caller, FileHandle, FileSystem, NodeId } from "./file-system.ts";
import type { SessionLimits } from "./session.ts";

/** Puts a result into the reply; returns the bytes written. Throws when the result is not one that FUSE can carry. */
export type Finish<T> = (exchange: Exchange, value: T) => number;
/** Gives back what a result holds, when nobody will hear of it. */
export type Undo<T> = (fileSystem: FileSystem, exchange: Exchange, value: T) => void;

export interface Serving {
  readonly fileSystem: FileSystem;
  readonly limits: SessionLimits;
  /** Answers now, or when the promise settles (then: PENDING). */
  answer<T>(exchange: Exchange, result: MaybePromise<T>, finish: Finish<T>, undo?: Undo<T>): number;
}

/** One operation: returns the bytes written, or PENDING. What it throws becomes the answer. */
export type Operation = (serving: Serving, exchange: Exchange) => number;

export function nodeOf(exchange: Exchange): NodeId {
  return exchange.node as NodeId;
}

/** The node of an argument; `undefined` when it can be none of ours. */
export function nodeFrom(value: Readonly<Opaque64>): NodeId | undefined {
  const number = opaqueToNumber(value);
  return number === -1 ? undefined : (number as NodeId);
}

/** The handle of an argument; `undefined` when it can be none of ours. */
export function handleFrom(value: Readonly<Opaque64>): FileHandle | undefined {
  const number = opaqueToNumber(value);
  return number === -1 ? undefined : (number as FileHandle);
}

export function callerOf(exchange: Exchange): Caller {
  const { uid, gid, pid } = exchange.header;
  return { uid, gid, pid };
}
