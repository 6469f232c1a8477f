/** Reading of option values: each says what was wrong, with which value, and what would do. */
import { InvalidArgumentError } from "commander";

/** A failure that is told in one line and ends the process with 1: no stack, for it is nobody's bug. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** The same for what only other flags or arguments can cure: the process ends with 2. */
export class UsageError extends CommandError {}

/** @returns a reader for commander; it throws commander's InvalidArgumentError, which ends in exit code 2 */
export function wholeNumber(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`"${text}" is not ${what}: give a whole number from ${min} to ${max}.`);
  };
}

export const readPort: (text: string) => number = wholeNumber("a port", 0, 65_535);

/** Node would take an empty address for "all of them": nobody who types one means that. */
export function readHost(text: string): string {
  if (text.trim() !== "") return text;
  throw new InvalidArgumentError("It is empty: give an address or a name, such as 127.0.0.1, or 0.0.0.0 for all.");
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Bytes: `67108864`, `65536k`, `64M`, `1G`. */
export function readBytes(text: string): number {
  const [, digits, unit] = /^(\d+)([kmg]?)i?b?$/i.exec(text) ?? [];
  const factor = unit === undefined ? undefined : UNITS[unit.toLowerCase()];
  if (digits !== undefined && factor !== undefined) return Number(digits) * factor;
  throw new InvalidArgumentError(`"${text}" is not a size: give bytes, or a number with K, M or G, such as 64M.`);
}

export interface ForwardSpec {
  readonly host: string;
  readonly port: number;
  readonly guestPort: number;
}

/** `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`: a host address and port, and the guest's port. */
export function readForward(text: string, before: readonly ForwardSpec[] = []): ForwardSpec[] {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]+):)?(\d+):(\d+)$/.exec(text);
  const [, address = "127.0.0.1", port = "", guestPort = ""] = match ?? [];
  if (match === null || Number(port) > 65_535 || Number(guestPort) >= 0xffff_ffff) {
    throw new InvalidArgumentError(`"${text}" is no forward: give HOSTPORT:GUESTPORT or ADDRESS:HOSTPORT:GUESTPORT.`);
  }
  const host = address.replace(/^\[|\]$/g, "");
  return [...before, { host, port: Number(port), guestPort: Number(guestPort) }];
}
