/**
 * A small unikernel core. Reading order: thread-calls.ts (what a program sees), core.ts (what a turn is), run-queue.ts,
 * timers.ts, wait.ts and wait-queue.ts, dedicated.ts; then the loops: hosted-loop.ts, exclusive-loop.ts,
 * deterministic-loop.ts; then what joins cores: wake-word.ts, core-board.ts, the bus.
 */
export { type Bell, type BellWait, type BlockingBell, LocalBell } from "./bell.ts";
export { type BootedCore, type BootOptions, bootCore, type Neighbours } from "./boot.ts";
export { BusEnd, type BusEndOptions } from "./bus.ts";
export type { BusCalls, BusMessage, ControlHandler } from "./bus-calls.ts";
export type { ChannelStats } from "./bus-channel.ts";
export {
  type BusPlace,
  type BusShape,
  busBytes,
  busShape,
  type ChannelShape,
  clearBus,
  DEFAULT_CONTROL,
  DEFAULT_DATA,
} from "./bus-layout.ts";
export { CoreBoard, type CoreState } from "./core-board.ts";
export {
  Core,
  type CoreOptions,
  type CoreStats,
  type RemoteSpawner,
  type ThreadFailure,
  type ThreadInfo,
} from "./core.ts";
export type { DedicatedDevice } from "./dedicated.ts";
export { type DeterministicOptions, type RunOutcome, runDeterministic, VirtualTime } from "./deterministic-loop.ts";
export { type ExclusiveLoopOptions, runExclusive } from "./exclusive-loop.ts";
export { type HostedLoopOptions, type HostLoop, type RunningLoop, runHosted } from "./hosted-loop.ts";
export { ADAPTIVE_SPIN, IdlePolicy, type IdleStats, NO_SPIN, type SpinLimits } from "./idle-policy.ts";
export { type ModuleLoader, RemoteThreads } from "./remote-threads.ts";
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
