/**
 * Who touched which byte last, and what each thread knows of the others' doings: vector clocks. Two accesses of which
 * neither is known to come before the other, at least one of them a write and not both atomic, are a data race
 * (ECMAScript §29.10, "Data Races").
 */
import type { Access } from "./access.ts";

/** Per byte: for each kind of access and each thread, the thread's time of its last such access; 0: none. */
type Touched = readonly number[];

/** Everything that orders accesses. Keys are addresses, so that equal logs have equal JSON. */
export interface AccessLog {
  /** Per thread: the time of each thread up to which it knows what was done. */
  readonly clocks: number[][];
  /** By address: what somebody knows who reads the value that was stored there atomically. */
  readonly released: { [at: number]: readonly number[] };
  readonly touched: { [at: number]: Touched };
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
  return { clocks, released: {}, touched: {} };
}

/** The earlier access with which this one races, if there is one. */
export function raceOf(log: AccessLog, thread: number, access: Access): Race | undefined {
  const threads = log.clocks.length;
  const known = log.clocks[thread] ?? [];
  for (const kind of kindsOf(access)) {
    for (let at = access.at; at < access.at + access.size; at++) {
      const touched = log.touched[at];
      if (touched === undefined) continue;
      for (const conflict of CONFLICTS[kind] ?? []) {
        for (let other = 0; other < threads; other++) {
          if (other === thread || (touched[conflict * threads + other] ?? 0) <= (known[other] ?? 0)) continue;
          return { thread: other, kind: KINDS[conflict] ?? "", at: access.at };
        }
      }
    }
  }
  return undefined;
}

/** A log that `record` may change. */
export function copyOf({ clocks, released, touched }: AccessLog): AccessLog {
  return { clocks: clocks.map((clock) => [...clock]), released: { ...released }, touched: { ...touched } };
}

/** Notes the access; `wakes`: the threads that it wakes, which then know what the waker knows. */
export function record(log: AccessLog, thread: number, access: Access, wakes: readonly number[]): void {
  const { clocks, released, touched } = log;
  const threads = clocks.length;
  const own = clocks[thread] ?? [];
  for (let at = access.at; at < access.at + access.size; at++) {
    const last = [...(touched[at] ?? new Array<number>(KINDS.length * threads).fill(0))];
    for (const kind of kindsOf(access)) last[kind * threads + thread] = own[thread] ?? 0;
    touched[at] = last;
  }
  if (isAcquire(access)) join(own, released[access.at] ?? []);
  for (const woken of wakes) join(clocks[woken] ?? [], own);
  if (isRelease(access)) {
    released[access.at] = [...own];
    own[thread] = (own[thread] ?? 0) + 1;
  }
}

/** Forgets the accesses that every other thread knows of: nothing can race with them any more. */
export function forgetKnown({ clocks, touched }: AccessLog): void {
  const threads = clocks.length;
  const known = clocks.map((_, thread) =>
    Math.min(...clocks.flatMap((clock, other) => (other === thread ? [] : [clock[thread] ?? 0]))),
  );
  for (const at of Object.keys(touched)) {
    const times = touched[Number(at)] ?? [];
    if (!times.some((time, i) => time !== 0 && time <= (known[i % threads] ?? 0))) continue;
    const left = times.map((time, i) => (time <= (known[i % threads] ?? 0) ? 0 : time));
    if (left.some((time) => time !== 0)) touched[Number(at)] = left;
    else delete touched[Number(at)];
  }
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
