/** One seed: boots a machine, lets its visitors do what they want, and looks at what is left. */

import { SimulatedFiles, SimulatedMachine, type SimulatedMachineOptions, Simulation } from "@toril/machine/testing";
import { SystemError } from "@toril/virtio/platform";
import { MemoryFileSystem } from "@toril/virtio-fs/device";
import { allocatorWithDroughts } from "./droughts.ts";
import { type Fault, FaultPlan } from "./faults.ts";
import { fileBehaviour } from "./file-faults.ts";
import { type Excuse, Findings, findingLog } from "./findings.ts";
import { echo } from "./scenarios/echo.ts";
import { web } from "./scenarios/web.ts";
import { worker } from "./scenarios/worker.ts";
import { between, once, type Scenario, type Visitor, type World } from "./world.ts";

const SCENARIOS: readonly Scenario[] = [web, web, echo, worker];

export interface SeedOptions {
  readonly seed: number;
  readonly without?: ReadonlySet<string>;
  readonly trace?: "hash" | "lines";
  /** For mutants: what stands between the machine and its parts. */
  readonly hooks?: Pick<SimulatedMachineOptions, "vsockHooks" | "fileHooks">;
}

export interface SeedReport {
  readonly seed: number;
  readonly scenario: string;
  readonly topology: string;
  readonly faults: readonly Fault[];
  readonly events: number;
  readonly hash: string;
  readonly virtualMs: number;
  /** Empty: all is well. */
  readonly findings: readonly string[];
  readonly lines: readonly string[];
}

/** Beyond all patience in the system: HTTP waits 30 s, a close 8 s, a session's end 10 s. */
const PATIENCE_MS = 200_000;
const QUIET_MS = 60_000;
/** Bytes of guest memory: the collector counts them, and a run takes milliseconds. */
const MEMORY = 6 * 2 ** 20;
const TIDY_MS = 50;
const INJECTED = "the simulation says so";

const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function runSeed(options: SeedOptions): Promise<SeedReport> {
  const { seed, without = new Set<string>(), trace = "hash", hooks = {} } = options;
  const simulation = new Simulation({ seed, drained, trace });
  const random = simulation.random("scenario");
  const scenario = SCENARIOS[random.next(SCENARIOS.length)] ?? web;
  const topology = once(random, 2) ? "inline" : "dedicated";
  const faults = FaultPlan.draw(simulation, without);
  const findings = new Findings();
  const onRejection = (reason: unknown): void => {
    findings.add(`a rejection that nobody handled: ${reason instanceof Error ? reason.stack : String(reason)}`);
  };
  process.on("unhandledRejection", onRejection);
  simulation.note(`${scenario.name}, ${topology}, faults: ${faults.names.join(" ") || "none"}`);
  try {
    await live(simulation, scenario, topology, faults, findings, hooks);
    await drained(); // rejections are told after a macrotask
  } catch (error) {
    const line = error instanceof Error ? (error.name === "SimulationError" ? error.message : error.stack) : error;
    findings.add(`the run failed: ${String(line)}`);
  } finally {
    process.off("unhandledRejection", onRejection);
  }
  const { events, hash, lines } = simulation.trace;
  const virtualMs = simulation.now();
  return {
    seed,
    scenario: scenario.name,
    topology,
    faults: faults.names,
    events,
    hash,
    virtualMs,
    findings: findings.all,
    lines,
  };
}

async function live(
  simulation: Simulation,
  scenario: Scenario,
  topology: "inline" | "dedicated",
  faults: FaultPlan,
  findings: Findings,
  hooks: SeedOptions["hooks"],
): Promise<void> {
  const disk = new MemoryFileSystem({ now: () => timestamp(simulation.now()) });
  scenario.prepare(disk);
  const files = new SimulatedFiles(simulation, disk, fileBehaviour(simulation, faults));
  const droughts = allocatorWithDroughts(simulation, faults);
  const log = findingLog(findings, (line) => simulation.note(line), excuse(faults));
  const machine = await simulation.run(
    "the boot",
    SimulatedMachine.boot({
      ...machineOptions(simulation, faults),
      memory: MEMORY,
      ...hooks,
      simulation,
      topology,
      fileSystem: files.fileSystem,
      log,
      allocatorOver: (heap) => droughts.over(heap),
    }),
    PATIENCE_MS,
  );
  const world: World = { simulation, faults, findings, machine, files, disk };
  const program = await machine.start(scenario.main, scenario.args(faults, simulation.random("arguments"), simulation));
  await simulation.run("the program's start", program.ready, PATIENCE_MS);
  droughts.begin(() => machine.guest.core.bell.ring());
  scheduleFaults(world);
  const visitors = scenario.visitors(world);
  await letVisit(world, visitors);
  if (scenario.ends === "by itself") await simulation.run("the program", program.ended, PATIENCE_MS);
  droughts.end();
  await simulation.quiet(QUIET_MS);
  if (!faults.has("device-reset")) checkQuiet(world, scenario);
  scenario.check?.(world);
  machine.requestStop();
  const exit = await simulation.run("the program's end", program.ended, PATIENCE_MS);
  if (exit.kind === "failed") {
    const excused = exit.error instanceof SystemError && faults.any("device-reset", "file-errors");
    findings.check(excused, `the program failed: ${exit.error.stack}`);
  }
  await simulation.quiet(QUIET_MS);
  await simulation.run("the machine's stop", machine.stop(), PATIENCE_MS);
  // Not longer: a timer that nobody wants must have been cancelled, not waited for.
  await simulation.quiet(TIDY_MS);
  for (const [what, count] of Object.entries(machine.holdings())) {
    findings.check(count === 0, `after the stop: ${count} ${what} left`);
  }
  for (const violation of files.violations) findings.add(`the file driver broke the protocol: ${violation}`);
  findings.check(files.openHandles === 0, `after the stop: ${files.openHandles} file handles left`);
  machine.remove();
}

async function letVisit({ simulation }: World, visitors: readonly Visitor[]): Promise<void> {
  const random = simulation.random("arrivals");
  for (const visitor of visitors) {
    simulation.after(random.next(30), `${visitor.name} comes`, () => visitor.start());
  }
  for (const visitor of visitors) await simulation.run(visitor.name, visitor.finished, PATIENCE_MS);
}

/** The program still runs, but nobody wants anything of it. */
function checkQuiet({ machine, findings, files }: World, scenario: Scenario): void {
  const stats = machine.guest.stats();
  const number = (part: string, name: string): number => Number(stats[part]?.[name] ?? 0);
  const threads = scenario.ends === "by itself" ? 0 : 1;
  const rest: Record<string, readonly [found: number, right: number]> = {
    "connections of the driver": [number("vsock driver", "connectionsOpen"), 0],
    "connections of the device": [machine.vsock.stats.connectionsOpen, 0],
    "heads held by the device": [machine.vsock.stats.headsHeld, 0],
    "file requests in flight": [number("file driver", "inFlight"), 0],
    "file calls on the host": [files.waiting, 0],
    threads: [machine.guest.core.threads.length, threads],
    "handlers of the host that threw": [machine.vsock.stats.handlerErrors, 0],
    "packets that made no sense": [machine.vsock.stats.malformedPackets, 0],
  };
  for (const [what, [found, right]] of Object.entries(rest)) {
    findings.check(found === right, `all is quiet, but ${what}: ${found}, not ${right}`);
  }
}

/** What happens at some time, whatever else goes on. */
function scheduleFaults({ simulation, faults, machine }: World): void {
  const random = simulation.random("fault times");
  const at = (): number => random.next(once(random, 2) ? 40 : 400);
  if (faults.has("stalls")) {
    for (let i = between(random, 1, 8); i > 0; i--) {
      const who = (["guest", "vsock device", "file device"] as const)[random.next(3)] ?? "guest";
      const ms = random.next(once(random, 4) ? 3_000 : 30);
      simulation.after(at(), `${who} stalls for ${ms} ms`, () => simulation.stall(who, ms));
    }
  }
  if (faults.has("transport-reset")) {
    simulation.after(at(), "a migration", () => machine.vsock.resetTransport());
  }
  if (faults.has("device-reset")) {
    const device = once(random, 2) ? machine.vsockFaults : machine.fileFaults;
    simulation.after(at(), "a device breaks down", () => device?.breakDown(INJECTED));
  }
}

function machineOptions(simulation: Simulation, faults: FaultPlan): Partial<SimulatedMachineOptions> {
  const random = simulation.random("machine");
  const bells = simulation.random("bells");
  const registers = simulation.random("registers");
  const window = (): number => (once(random, 3) ? between(random, 256, 2_000) : between(random, 2_000, 20_000));
  // Where the counters of credit start: some runs see them wrap.
  const counterStart = once(random, 4) ? 2 ** 32 - random.next(300_000) - 1 : 0;
  const small = faults.has("small-rings");
  const starved = faults.has("little-credit");
  return {
    txPath: (["zero-copy", "one-copy", "two-copy"] as const)[random.next(3)] ?? "zero-copy",
    cache: (["auto", "auto", "always", "none"] as const)[random.next(4)] ?? "auto",
    cacheBytes: once(random, 3) ? 65_536 * between(random, 2, 6) : 2 ** 20,
    transport: {
      ...(small ? { maxQueueSize: 2 ** between(random, 2, 4) } : {}),
      ...(faults.has("late-bells") ? { bellMs: () => (once(bells, 3) ? bells.next(20) : bells.next(8) / 16) } : {}),
      ...(faults.has("slow-registers") ? { registerMs: () => registers.next(50) } : {}),
    },
    vsockDriver: { counterStart, ...(starved ? { bufAlloc: window() } : {}), ...(small ? { rxBuffers: 4 } : {}) },
    vsockDevice: {
      counterStart,
      ...(starved ? { bufAlloc: window(), queueBytes: window() } : {}),
      txHeadsPerConnection: random.next(6),
    },
  };
}

/** What may be logged as an error, because somebody made it so. */
function excuse(faults: FaultPlan): Excuse {
  return (message, fields) => {
    if (message === "a device needs a reset") return fields["reason"] === INJECTED;
    if (message === "a thread failed") return String(fields["reason"]).startsWith("SystemError");
    if (faults.has("device-reset"))
      return !message.includes("callback") && !message.startsWith("a dedicated device failed");
    if (faults.any("file-errors", "no-memory")) return message === "the handler failed";
    return false;
  };
}

function timestamp(ms: number): { seconds: number; nanoseconds: number } {
  return { seconds: 1_767_225_600 + Math.floor(ms / 1_000), nanoseconds: Math.floor((ms % 1_000) * 1e6) };
}
