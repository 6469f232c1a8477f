/** One access to shared memory, as the code under test asks for it. Addresses are bytes; values are unsigned. */

export type ModifyOperation = "add" | "sub" | "and" | "or" | "xor" | "exchange" | "compareExchange";

export type Access =
  | { readonly kind: "load"; readonly at: number; readonly size: number; readonly atomic: boolean }
  | {
      readonly kind: "store";
      readonly at: number;
      readonly size: number;
      readonly value: number;
      readonly atomic: boolean;
    }
  | {
      readonly kind: "modify";
      readonly at: number;
      readonly size: number;
      readonly operation: ModifyOperation;
      readonly value: number;
      /** compareExchange only: what must be there. */
      readonly expected: number;
    }
  /** Atomics.wait without a time limit: its result is WAIT_NOT_EQUAL or WAIT_WOKEN. */
  | { readonly kind: "wait"; readonly at: number; readonly size: number; readonly value: number }
  /** Atomics.notify of all waiters: its result is how many there were. */
  | { readonly kind: "notify"; readonly at: number; readonly size: number }
  /** An abstract doorbell, such as an interrupt: it stays rung until somebody slept on it. */
  | { readonly kind: "ring"; readonly at: number; readonly size: number }
  /** Goes on when the doorbell is rung, and takes the ring. */
  | { readonly kind: "sleep"; readonly at: number; readonly size: number };

export const WAIT_NOT_EQUAL = 0;
export const WAIT_WOKEN = 1;

/** Where accesses go: the thread that runs now. The result of a store is nothing. */
export interface AccessPort {
  perform(access: Access): number;
}

/** What an address is called in a trace, such as `avail.idx`. */
export type NameOf = (at: number) => string;

/** Whether anybody else can tell when this access happens: a plain store goes to the thread's own buffer first. */
export function isPlainStore(access: Access): access is Access & { readonly kind: "store" } {
  return access.kind === "store" && !access.atomic;
}

/** A read-modify-write's new value, in `size` bytes. */
export function modified(access: Access & { readonly kind: "modify" }, old: number): number {
  const { operation, value, expected, size } = access;
  return truncate(compute(operation, old, value, expected), size);
}

function compute(operation: ModifyOperation, old: number, value: number, expected: number): number {
  switch (operation) {
    case "add":
      return old + value;
    case "sub":
      return old - value;
    case "and":
      return old & value;
    case "or":
      return old | value;
    case "xor":
      return old ^ value;
    case "exchange":
      return value;
    case "compareExchange":
      return old === expected ? value : old;
  }
}

/** The lowest `size` bytes of a number, unsigned. */
export function truncate(value: number, size: number): number {
  if (size === 4) return value >>> 0;
  return value & (size === 1 ? 0xff : 0xffff);
}

/** Little-endian. */
export function readBytes(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}

/** Little-endian. */
export function writeBytes(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) bytes[at + i] = rest & 0xff;
}
