/** One measurement: boots the machines, starts the peers, measures them all by the schedule, and stops them. */
import { type Conditions, PRESETS } from "./conditions.ts";
import { machineDescription } from "./description.ts";
import { counted, runFigures } from "./measures.ts";
import type { PingPongOptions, Watcher } from "./options.ts";
import type { CellBase, MachineCell, Missing, Outcome, PeerCell, Rounds, Subject } from "./outcome.ts";
import type { Peer } from "./peers/peer.ts";
import { whyNotPinned } from "./peers/pinning.ts";
import { startPeers } from "./peers/start.ts";
import { Schedule } from "./schedule.ts";
import { stagesOf } from "./stages.ts";
import { captureFile, MeasuredMachine, receiveOf } from "./subjects.ts";

/** What is told is their median. */
const ROUNDS = 5;

/** @throws Error when a machine that is required cannot run, a payload arrives wrong, or a run hangs */
export async function runPingPong(options: PingPongOptions, watcher: Watcher): Promise<Outcome> {
  const startedAt = performance.now();
  const conditions = conditionsOf(options);
  const subjects: Subject[] = [];
  const missing: Missing[] = [];
  try {
    await mustPin(conditions.cpus);
    for (const kind of options.machines) {
      watcher.progress(`boots the ${kind} machine`, 0);
      try {
        const machine = await MeasuredMachine.boot(kind, options.modules, conditions, captureFile(options, kind));
        subjects.push(machineSubject(machine, options, conditions));
      } catch (error) {
        if (options.machinesAre === "required") throw error;
        missing.push({ name: `${kind} machine`, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    if (options.peers === "all") {
      watcher.progress("starts the peers", 0);
      const { process, sources } = options.modules;
      const found = await startPeers({ process, sources, cpus: conditions.cpus });
      for (const peer of found.peers) subjects.push(peerSubject(peer, options));
      missing.push(...found.missing);
    }
    const rounds = options.rounds ?? ROUNDS;
    const done = await new Schedule(subjects, options, rounds, watcher).run();
    return {
      machine: machineDescription(),
      conditions,
      preset: options.preset,
      cells: subjects.flatMap(({ cells }) => cells),
      missing,
      ...done,
      elapsedMs: performance.now() - startedAt,
    };
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}

/** @throws Error when the processors cannot be had: figures of threads that wander would be taken for others */
async function mustPin(cpus: Conditions["cpus"]): Promise<void> {
  for (const cpu of cpus ?? []) {
    const reason = await whyNotPinned(cpu);
    if (reason !== undefined) throw new Error(`cannot pin to processor ${cpu}: ${reason}`);
  }
}

function conditionsOf({ preset, cpus: given }: PingPongOptions): Conditions {
  const conditions: Conditions = PRESETS[preset];
  return given === undefined ? conditions : { ...conditions, cpus: given };
}

function machineSubject(machine: MeasuredMachine, options: PingPongOptions, conditions: Conditions): Subject {
  const cells = options.tx.flatMap((tx) =>
    eachCell(
      options,
      (base): MachineCell => ({
        ...{ ...base, kind: "machine", machine: machine.kind, tx },
        ...{ receive: receiveOf(tx, conditions), stages: undefined },
      }),
    ),
  );
  return {
    name: machine.kind,
    cells,
    async run(job) {
      const report = await machine.run(job);
      return {
        figures: runFigures(report, job.size, job.mode === "rtt" ? 2 : 1),
        counted: counted(report, machine.loops),
        stages: job.trace === "on" ? stagesOf(report, machine.loops) : undefined,
      };
    },
    stop: () => machine.stop(),
  };
}

function peerSubject(peer: Peer, options: PingPongOptions): Subject {
  return {
    name: peer.name,
    cells: eachCell(options, (base): PeerCell => ({ ...base, kind: "peer", name: peer.name })),
    async run(job) {
      const report = await peer.run(job);
      const figures = runFigures(report, job.size, job.mode === "rtt" ? 2 : 1);
      return { figures, counted: undefined, stages: undefined };
    },
    stop: () => peer.stop(),
  };
}

function eachCell<T>({ sizes, modes }: PingPongOptions, make: (base: CellBase) => T): T[] {
  return modes.flatMap((mode) =>
    sizes.map((size) => {
      const none = (): Rounds => ({ figures: [], counted: undefined });
      return make({ size, mode, unread: none(), read: none() });
    }),
  );
}
