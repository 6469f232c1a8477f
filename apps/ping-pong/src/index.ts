/**
 * The ping-pong benchmark. Reading order: job.ts (what the two ends say to each other), ping-end.ts (the end that
 * measures), guest.ts (the end that answers, with system calls), host-end.ts, subjects.ts and peers/ (what is measured),
 * runner.ts (when), measures.ts, statistics.ts, summary.ts (from runs to figures); table.ts, document.ts, report/ (how
 * they are shown).
 */
export { PRESET_NAMES, type PresetName } from "./conditions.ts";
export { EXPERIMENT } from "./experiment/steps.ts";
export { experimentDocument } from "./experiment/document.ts";
export { EXPERIMENT_SIZES, runExperiment } from "./experiment/run.ts";
export { formatExperiment } from "./experiment/table.ts";
export { experimentPage } from "./report/experiment-page.ts";
export { jsonDocument } from "./document.ts";
export type { Mode } from "./job.ts";
export { MACHINES, MAX_SIZE, type Modules, type PingPongOptions, SIZES, TX_PATHS, type Watcher } from "./options.ts";
export type { Outcome } from "./outcome.ts";
export { runPingPong } from "./runner.ts";
export { formatTable } from "./table.ts";
export { reportPage } from "./report/page.ts";
