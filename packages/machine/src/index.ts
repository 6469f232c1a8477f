/**
 * The machines, and what a program sees of one. Reading order: sys.ts (what a program gets), machine.ts (what a machine
 * is), guest.ts (the guest's side, the same on every machine), inline.ts.
 */
export { createMachine } from "./create-machine.ts";
export type {
  DirectoryOptions,
  Forward,
  ForwardOptions,
  Machine,
  MachineKind,
  MachineOptions,
  Program,
  ProgramExit,
  RunningProgram,
} from "./machine.ts";
export type { MachineStats, StatGroup } from "./stats.ts";
export type { Main, MemoryCalls, Sys } from "./sys.ts";
