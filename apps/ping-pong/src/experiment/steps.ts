/**
 * Toro's experiment of 2023, and what is changed after it, one thing at a time; each step keeps what those before it changed.
 * The first one has the conditions of the post as far as its text and source tell them.
 */
import type { MachineTuning } from "@toril/machine";
import type { Receive } from "../job.ts";

/** The name of it all, as a preset. */
export const EXPERIMENT = "toro-2023";

export interface Step {
  /** Short, for tables. */
  readonly name: string;
  /** What is different from the step before. */
  readonly change: string;
  readonly tuning: MachineTuning;
  readonly receive: Receive;
}

/** Both ends' windows, and the queues. */
const SMALL_WINDOW = 16_384;
const SMALL_QUEUE = 32;

const late = { creditUpdates: "whole-window" } as const;
const small = { bufAlloc: SMALL_WINDOW } as const;
const short = { queueSize: SMALL_QUEUE } as const;
/** From the second step on; what the default is may change, the experiment does not. */
const long = { queueSize: 256 } as const;

export const STEPS: readonly Step[] = [
  {
    name: "as in 2023",
    change:
      "windows of 16 KiB, queues of 32, credit comes back when a window is used up, idle cores sleep at once, three copies to receive",
    tuning: {
      driver: { ...short, ...small, ...late, rxBuffers: 32 },
      device: { ...short, ...small, ...late },
      idling: "sleep",
    },
    receive: "three-copies",
  },
  {
    name: "+ window",
    change: "windows of 256 KiB, queues of 256",
    tuning: { driver: late, device: { ...long, ...late }, idling: "sleep" },
    receive: "three-copies",
  },
  {
    name: "+ credit",
    change: "credit comes back at half a window",
    tuning: { device: long, idling: "sleep" },
    receive: "three-copies",
  },
  {
    name: "+ polling",
    change: "idle cores look for work a while before they sleep",
    tuning: { device: long },
    receive: "three-copies",
  },
  { name: "+ 1 copy in", change: "one copy to receive", tuning: { device: long }, receive: "copy" },
  {
    name: "+ 0 copies in",
    change: "no copy to receive: the program reads where the device has written",
    tuning: { device: long },
    receive: "borrow",
  },
];
