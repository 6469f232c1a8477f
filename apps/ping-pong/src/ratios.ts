/** The ratios that the project has set itself, of figures of one run. */
import type { PresetName } from "./conditions.ts";
import type { Mode } from "./job.ts";
import type { Cell } from "./outcome.ts";
import { isMachine, type Summary, summarize } from "./summary.ts";

export interface Ratio {
  readonly what: string;
  readonly ratio: number;
  /** What it is to be, for people. */
  readonly target: string;
  readonly reached: boolean;
}

interface Wanted {
  readonly what: string;
  readonly of: () => number | undefined;
  readonly to: () => number | undefined;
  readonly at: "least" | "most";
  readonly target: number;
}

const KIB_64 = 65_536;
const MIB = 1_048_576;
const DEFAULT_TX = "zero-copy";

/** Those for which this run has figures. */
export function ratios(cells: readonly Cell[], preset: PresetName): Ratio[] {
  const find = (
    name: string,
    tx: string,
    size: number,
    mode: Mode,
    payload: "unread" | "read",
  ): Summary | undefined => {
    const cell = cells.find(
      (one) =>
        one.size === size &&
        one.mode === mode &&
        (isMachine(one) ? one.machine === name && one.tx === tx : one.name === name),
    );
    return cell === undefined ? undefined : summarize(cell[payload]);
  };
  const rtt =
    (name: string, size: number, tx: string = DEFAULT_TX) =>
    () =>
      find(name, tx, size, "rtt", "unread")?.p50Us.median;
  const tail = (name: string, size: number) => () => find(name, DEFAULT_TX, size, "rtt", "unread")?.p999Us.median;
  const bulk =
    (name: string, size: number, tx: string = DEFAULT_TX, payload: "unread" | "read" = "unread") =>
    () =>
      find(name, tx, size, "bulk", payload)?.mbPerS.median;
  const least = (what: string, of: Wanted["of"], to: Wanted["to"], target: number): Wanted => ({
    what,
    of,
    to,
    at: "least",
    target,
  });
  const most = (what: string, of: Wanted["of"], to: Wanted["to"], target: number): Wanted => ({
    what,
    of,
    to,
    at: "most",
    target,
  });
  const sizes = [...new Set(cells.map(({ size }) => size))];
  const machines = [...new Set(cells.filter(isMachine).map(({ machine }) => machine))];
  // Awake against awake, asleep against asleep: the rest compares what is not alike.
  const latencies: Wanted[] =
    preset === "sleeping"
      ? [most("64 B round trip, both asleep: dedicated / C futex", rtt("dedicated", 64), rtt("c-futex", 64), 1.5)]
      : [
          least("64 B round trip: Node Unix socket / dedicated", rtt("node-unix", 64), rtt("dedicated", 64), 10),
          least("64 B round trip: Node TCP / dedicated", rtt("node-tcp", 64), rtt("dedicated", 64), 20),
          most("64 B round trip: dedicated / C spin", rtt("dedicated", 64), rtt("c-spin", 64), 15),
          most("64 B round trip p99.9: dedicated / C spin", tail("dedicated", 64), tail("c-spin", 64), 3),
        ];
  const wanted: Wanted[] = [
    ...latencies,
    least("64 KiB one way: dedicated / Node Unix socket", bulk("dedicated", KIB_64), bulk("node-unix", KIB_64), 3),
    least("64 KiB one way: zero-copy / two-copy", bulk("dedicated", KIB_64), bulk("dedicated", KIB_64, "two-copy"), 2),
    least("1 MiB one way: zero-copy / two-copy", bulk("dedicated", MIB), bulk("dedicated", MIB, "two-copy"), 4),
    ...sizes.map((size) =>
      least(
        `${size} B one way, payload read: zero-copy / two-copy`,
        bulk("dedicated", size, "zero-copy", "read"),
        bulk("dedicated", size, "two-copy", "read"),
        0.95,
      ),
    ),
    ...machines.flatMap((machine) =>
      sizes.map((size) =>
        most(
          `${size} B round trip, ${machine}: zero-copy / two-copy`,
          rtt(machine, size),
          rtt(machine, size, "two-copy"),
          1.05,
        ),
      ),
    ),
  ];
  return wanted.flatMap(({ what, of, to, at, target }) => {
    const [value, base] = [of(), to()];
    if (value === undefined || base === undefined) return [];
    const ratio = value / base;
    return [
      { what, ratio, target: `at ${at} ${target}×`, reached: at === "least" ? ratio >= target : ratio <= target },
    ];
  });
}
