/**
 * Who touched which field last, and what each thread knows of the others' doings: vector clocks. Two accesses of which
 * neither is known to come before the other, at least one of them a write and not both atomic, are a data race
 * (ECMAScript §29.10, "Data Races").
 */
import type { Access } from "./access.ts";

/**
 * What was done to a field: its size in bytes, then for each kind of access and each thread the thread's time of its last
 * such access; 0: none. Accesses of different sizes at one address count as being of the largest.
 */
type Touched = readonly number[];

const LARGEST_FIELD = 4;

/** Everything that orders accesses. */
export interface AccessLog {
  /** Per thread: the time of each thread up to which it knows what was done. */
  readonly clocks: number[][];
  /** By address: what somebody knows who reads the value that was stored there atomically. */
  readonly released: Map<number, readonly number[]>;
  readonly touched: Map<number, Touched>;
}

const KINDS = ["plain store", "plain load", "atomic store", "atomic load"] as const;
const PLAIN_STORE = 0;
const PLAIN_LOAD = 1;
const ATOMIC_STORE = 2;
const ATOMIC_LOAD = 3;
/** With what an access of each kind must not race. */
const CONFLICTS: readonly (readonly number[])[] = [
  [PLAIN_STORE, PLAIN_LOAD, ATOMIC_STORE, ATOMIC_LOAD],
  [PLAIN_STORE, ATOMIC_STORE],
  [PLAIN_STORE, PLAIN_LOAD],
  [PLAIN_STORE],
];

/** An earlier access that nothing orders before this one. */
export interface Race {
  readonly thread: number;
  readonly kind: string;
  readonly at: number;
}

export function emptyLog(threads: number): AccessLog {
  // Everybody knows what was done before the threads ran.
  const clocks = Array.from({ length: threads }, (_, own) =>
    Array.from({ length: threads }, (_, t) => (t === own ? 1 : 0)),
  );
  return { clocks, released: new Map(), touched: new Map() };
}

/** The earlier access with which this one races, if there is one. */
export function raceOf(log: AccessLog, thread: number, access: Access): Race | undefined {
  const threads = log.clocks.length;
  const known = log.clocks[thread] ?? [];
  for (let at = access.at - LARGEST_FIELD + 1; at < access.at + access.size; at++) {
    const touched = log.touched.get(at);
    if (touched === undefined || at + (touched[0] ?? 0) <= access.at) continue;
    for (const kind of kindsOf(access)) {
      for (const conflict of CONFLICTS[kind] ?? []) {
        for (let other = 0; other < threads; other++) {
          if (other === thread || (touched[1 + conflict * threads + other] ?? 0) <= (known[other] ?? 0)) continue;
          return { thread: other, kind: KINDS[conflict] ?? "", at };
        }
      }
    }
  }
  return undefined;
}

/** A log that `record` may change. */
export function copyOf({ clocks, released, touched }: AccessLog): AccessLog {
  return { clocks: clocks.map((clock) => [...clock]), released: new Map(released), touched: new Map(touched) };
}

/** Notes the access; `wakes`: the threads that it wakes, which then know what the waker knows. */
export function record(log: AccessLog, thread: number, access: Access, wakes: readonly number[]): void {
  const { clocks, released, touched } = log;
  const threads = clocks.length;
  const own = clocks[thread] ?? [];
  const kinds = kindsOf(access);
  if (kinds.length > 0) {
    const last = [...(touched.get(access.at) ?? new Array<number>(1 + KINDS.length * threads).fill(0))];
    last[0] = Math.max(last[0] ?? 0, access.size);
    for (const kind of kinds) last[1 + kind * threads + thread] = own[thread] ?? 0;
    touched.set(access.at, last);
  }
  if (isAcquire(access)) join(own, released.get(access.at) ?? []);
  for (const woken of wakes) join(clocks[woken] ?? [], own);
  if (isRelease(access)) {
    released.set(access.at, [...own]);
    own[thread] = (own[thread] ?? 0) + 1;
  }
}

/** Forgets the accesses that every other thread knows of: nothing can race with them any more. */
export function forgetKnown({ clocks, touched }: AccessLog): void {
  const threads = clocks.length;
  const known = clocks.map((_, thread) =>
    Math.min(...clocks.flatMap((clock, other) => (other === thread ? [] : [clock[thread] ?? 0]))),
  );
  for (const [at, field] of touched) {
    const isKnown = (time: number, i: number): boolean => i > 0 && time <= (known[(i - 1) % threads] ?? 0);
    if (!field.some((time, i) => time !== 0 && isKnown(time, i))) continue;
    const left = field.map((time, i) => (isKnown(time, i) ? 0 : time));
    if (left.some((time, i) => i > 0 && time !== 0)) touched.set(at, left);
    else touched.delete(at);
  }
}

/** The same for equal logs. */
export function keyOf({ clocks, released, touched }: AccessLog): string {
  return `${clocks.join(";")}/${sorted(released)}/${sorted(touched)}`;
}

function sorted(byAddress: ReadonlyMap<number, readonly number[]>): string {
  const addresses = [...byAddress.keys()].sort((a, b) => a - b);
  return addresses.map((at) => `${at}:${byAddress.get(at)?.join()}`).join(";");
}

function join(clock: number[], other: readonly number[]): void {
  other.forEach((time, thread) => {
    clock[thread] = Math.max(clock[thread] ?? 0, time);
  });
}

function kindsOf(access: Access): readonly number[] {
  switch (access.kind) {
    case "load":
      return [access.atomic ? ATOMIC_LOAD : PLAIN_LOAD];
    case "store":
      return [access.atomic ? ATOMIC_STORE : PLAIN_STORE];
    case "wait":
      return [ATOMIC_LOAD];
    case "notify":
      return [];
    default:
      return [ATOMIC_LOAD, ATOMIC_STORE];
  }
}

function isAcquire(access: Access): boolean {
  return access.kind !== "store" && access.kind !== "notify" && (access.kind !== "load" || access.atomic);
}

function isRelease(access: Access): boolean {
  return access.kind === "store" ? access.atomic : access.kind !== "load" && access.kind !== "wait";
}
