/** What a process takes of the machine, as Linux accounts for it in /proc. */
import { readFileSync } from "node:fs";

/** Linux counts in hundredths of a second towards programs, whatever the kernel's own tick is. */
const MICROSECONDS_PER_TICK = 10_000;

/** Processor time of all its threads, user and system, in microseconds; NaN where there is no /proc. */
export function processorTime(pid: number): number {
  try {
    // The name may hold blanks and brackets: fields are counted from behind its last bracket.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * MICROSECONDS_PER_TICK;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory in MiB; NaN where there is no /proc. */
export function residentMemory(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  } catch {
    return Number.NaN;
  }
}
