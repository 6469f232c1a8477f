/** A machine's counters for people: one line each, grouped by part, parts in order. */
import type { MachineStats, StatGroup } from "@toril/machine";

export function formatStats(stats: MachineStats): string {
  const lines = [`${stats.kind} machine, up ${(stats.uptimeMs / 1000).toFixed(1)} s`];
  for (const [part, group] of Object.entries(stats.parts)) {
    const rows = flatten(group, "");
    const width = Math.max(...rows.map(([name]) => name.length));
    lines.push("", part, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`));
  }
  return `${lines.join("\n")}\n`;
}

function flatten(group: StatGroup, prefix: string): [string, string][] {
  return Object.entries(group).flatMap(([name, value]): [string, string][] => {
    const path = `${prefix}${words(name)}`;
    if (typeof value === "object") return flatten(value, `${path}: `);
    return [[path, typeof value === "number" ? formatNumber(value) : value]];
  });
}

/** `txPayloadBytes` reads as "tx payload bytes". */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function formatNumber(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : value.toFixed(3);
}
