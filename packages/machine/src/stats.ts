/** Counters of a running machine, as plain data: they cross threads and go into JSON as they are. */
import type { MachineKind } from "./machine.ts";

/** Numbers by name; a part that has parts of its own is nested. Counts only grow; what is a level says so in its name. */
export interface StatGroup {
  readonly [name: string]: number | string | StatGroup;
}

export interface MachineStats {
  readonly kind: MachineKind;
  readonly uptimeMs: number;
  /** By part: `core 0`, `vsock driver`, `vsock device`, `file driver`, `file device`, and what the program reports. */
  readonly parts: { readonly [part: string]: StatGroup };
}

/** Counters of whatever shape as plain data: numbers, texts, and groups of them; the rest is left out. */
export function statGroup(counters: object): StatGroup {
  const group: Record<string, number | string | StatGroup> = {};
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number" || typeof value === "string") group[name] = value;
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) group[name] = statGroup(value);
  }
  return group;
}
