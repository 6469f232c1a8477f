/**
 * The machines, and what a program sees of one. Reading order: sys.ts (what a program gets), machine.ts (what a machine
 * is), guest.ts (the guest's side, the same on every machine), booted-machine.ts (what all machines do alike), inline.ts;
 * then dedicated/: hardware.ts (the supervisor), plan.ts (what threads say to each other), core-worker.ts,
 * device-worker.ts, and register-page.ts, register-transport.ts, register-server.ts (a device in another thread).
 */
export { createMachine } from "./create-machine.ts";
export type { HostCalls, HostMain, HostProgram } from "./host-program.ts";
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
export type { RecordOptions } from "./recording.ts";
export type { MachineStats, StatGroup } from "./stats.ts";
export type { Main, MemoryCalls, Sys } from "./sys.ts";
export type { Idling, MachineTuning, VsockDeviceTuning, VsockTuning } from "./tuning.ts";
export type { FilesBackEnd, VhostUserOptions, VsockBackEnd } from "./vhost-user/options.ts";
