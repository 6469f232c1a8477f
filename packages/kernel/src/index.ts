/**
 * A small unikernel core. Reading order: thread-calls.ts (what a program sees), core.ts (what a turn is), run-queue.ts,
 * timers.ts, wait.ts and wait-queue.ts, dedicated.ts; then the loops: hosted-loop.ts, exclusive-loop.ts,
 * deterministic-loop.ts; then what joins cores: wake-word.ts, core-board.ts, the bus.
 */
export { type Bell, type BellWait, LocalBell } from "./bell.ts";
export { Core, type CoreOptions, type CoreStats, type ThreadFailure, type ThreadInfo } from "./core.ts";
export type { DedicatedDevice } from "./dedicated.ts";
export { type HostedLoopOptions, type HostLoop, type RunningLoop, runHosted } from "./hosted-loop.ts";
export { EXCLUSIVE_SPIN, HOSTED_SPIN, IdlePolicy, NO_SPIN, type SpinLimits } from "./idle-policy.ts";
export { SeededRandom } from "./random.ts";
export type {
  PlainSystem,
  RemoteMain,
  SpawnOptions,
  ThreadAccount,
  ThreadCalls,
  ThreadExit,
  ThreadMain,
} from "./thread-calls.ts";
export type { ThreadHandle } from "./thread-handle.ts";
export { TimerQueue, type TimerQueueOptions } from "./timers.ts";
export type { WaitOptions } from "./wait.ts";
export { WaitQueue, type WaitQueueOptions } from "./wait-queue.ts";
export { WAKE_WORD_LENGTH, WakeWord } from "./wake-word.ts";
