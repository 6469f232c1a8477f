/** What a machine's process holds, as one flat list of numbers. */
import { readdirSync } from "node:fs";
import type { MachineStats } from "@toril/machine";
import type { Rule } from "./growth.ts";

export type Sample = Readonly<Record<string, number>>;

const MiB = 2 ** 20;

/** How each figure is judged. What is not named here is not judged. */
export const RULES: Readonly<Record<string, Rule>> = {
  descriptors: { kind: "exact" },
  "host connections": { kind: "exact" },
  "guest threads": { kind: "exact" },
  // The file driver's watch over its device runs on for a while when nobody asks any more.
  "guest timers": { kind: "breathes", allowance: 1 },
  "driver connections": { kind: "exact" },
  "device connections": { kind: "exact" },
  "heads held": { kind: "exact" },
  "requests in flight": { kind: "exact" },
  "http connections": { kind: "exact" },
  // Read-only files that the appliance keeps open for the next request: as many as there are files in the load.
  "open files": { kind: "breathes", allowance: 12 },
  // Of guest memory, without the file cache: packets are kept and used again.
  "guest bytes": { kind: "breathes", allowance: MiB },
  "JavaScript heap": { kind: "breathes", allowance: 4 * MiB },
  "array buffers": { kind: "breathes", allowance: 4 * MiB },
  "resident memory": { kind: "breathes", allowance: 32 * MiB },
};

type Group = MachineStats["parts"][string];

export function measure(stats: MachineStats): Sample {
  const { heapUsed, rss, arrayBuffers } = process.memoryUsage();
  const at = (part: string, ...names: readonly string[]): number | undefined => {
    let value: number | string | Group | undefined = stats.parts[part];
    for (const name of names) value = typeof value === "object" ? value[name] : undefined;
    return typeof value === "number" ? value : undefined;
  };
  const cached = at("file driver", "cachedBytes") ?? 0;
  const guestBytes = at("core 0", "heap", "bytesInUse");
  const sample: Record<string, number | undefined> = {
    descriptors: descriptors(),
    "host connections": process.getActiveResourcesInfo().filter((kind) => /TCPSocketWrap|PipeWrap/.test(kind)).length,
    "guest threads": at("core 0", "threads"),
    "guest timers": at("core 0", "timers"),
    "driver connections": at("vsock driver", "connectionsOpen"),
    "device connections": at("vsock device", "connectionsOpen"),
    "heads held": at("vsock device", "headsHeld"),
    "requests in flight": at("file driver", "inFlight"),
    "http connections": at("web appliance", "connectionsOpen"),
    "open files": at("file driver", "openFiles"),
    "guest bytes": guestBytes === undefined ? undefined : guestBytes - cached,
    "JavaScript heap": heapUsed,
    "array buffers": arrayBuffers,
    "resident memory": rss,
  };
  return Object.fromEntries(
    Object.entries(sample).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

/** -1 where there is no /proc. */
function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return -1;
  }
}
