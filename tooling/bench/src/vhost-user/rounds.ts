/** One daemon, measured: our front-end and the C one by turns, round by round. */
import type { Result } from "../report.ts";
import { result } from "../report.ts";
import { Samples } from "../rounds.ts";
import { type FrontEnd, ourProgram, type Placement, startFrontEnd } from "./front-ends.ts";
import type { Answer } from "./jobs.ts";

export interface DaemonRoundsOptions {
  /** How the daemon is called in what is printed. */
  readonly daemon: string;
  readonly command: string;
  readonly directory: string;
  /** The file's name in the directory, and its path on the host. */
  readonly name: string;
  readonly path: string;
  /** The C front-end's program. */
  readonly peer: string;
  readonly rounds: number;
  readonly onRound: (round: number) => void;
}

const MIB = 2 ** 20;
const OURS = "ours";
const SLEEPING = "C front-end, sleeping";
const SPINNING = "C front-end, spinning";
const PREAD = "pread on the host";
const STAT = "stat on the host";

/** What is measured: who does which job, where. Ours spins and sleeps as it sees fit: it has no mode. */
const measurements: readonly {
  readonly what: string;
  readonly who: string;
  readonly where: Placement;
  readonly job: string;
}[] = [
  ...both("GETATTR, depth 1, two processors", "two processors", "getattr 20000 1"),
  ...both("GETATTR, depth 1, one processor", "one processor", "getattr 20000 1"),
  ...both("GETATTR, depth 32", "two processors", "getattr 100000 32"),
  ...both("READ 1 MiB, depth 1", "two processors", `read 400 ${MIB} 1`),
  ...both("READ 1 MiB, depth 4", "two processors", `read 400 ${MIB} 4`),
  { what: "READ 1 MiB", who: PREAD, where: "two processors", job: `pread 400 ${MIB}` },
  { what: "GETATTR", who: STAT, where: "two processors", job: "stat 20000" },
];

function both(what: string, where: Placement, job: string): typeof measurements {
  const of = (who: string, mode: string) => ({ what, who, where, job: `${job} ${mode}` });
  return [of(OURS, "any"), of(SLEEPING, "sleep"), of(SPINNING, "spin")];
}

export class DaemonFigures {
  readonly daemon: string;
  readonly #samples: Samples;

  constructor(daemon: string, samples: Samples) {
    this.daemon = daemon;
    this.#samples = samples;
  }

  /** The median of the rounds. */
  of(what: string, who: string, figure: keyof Answer): number {
    return this.#samples.of(`${what} ${who} ${figure}`).median;
  }

  get results(): readonly Result[] {
    const times = (what: string, peers: readonly string[], figure: "p50" | "p99", peerWhat: string = what): Result[] =>
      peers.map((peer) => this.#compare(`${what}, ${figure}`, what, figure, peer, peerWhat, 1, "µs", "lower"));
    const rates = (
      what: string,
      peers: readonly string[],
      scale: number,
      unit: string,
      peerWhat: string = what,
    ): Result[] => peers.map((peer) => this.#compare(what, what, "perSecond", peer, peerWhat, scale, unit, "higher"));
    const [two, one] = ["GETATTR, depth 1, two processors", "GETATTR, depth 1, one processor"];
    const peers = [SLEEPING, SPINNING];
    return [
      ...times(two, peers, "p50"),
      ...times(two, peers, "p99"),
      ...times(two, [STAT], "p50", "GETATTR"),
      ...times(one, peers, "p50"),
      ...times(one, peers, "p99"),
      ...rates("GETATTR, depth 32", peers, 1, "requests/s"),
      ...["READ 1 MiB, depth 1", "READ 1 MiB, depth 4"].flatMap((what) => [
        ...rates(what, [PREAD], 1, "MiB/s", "READ 1 MiB"),
        ...rates(what, peers, 1, "MiB/s"),
      ]),
    ];
  }

  #compare(
    name: string,
    what: string,
    figure: keyof Answer,
    peer: string,
    peerWhat: string,
    scale: number,
    unit: string,
    better: Result["better"],
  ): Result {
    return result({
      name: `${this.daemon}: ${name}`,
      value: this.of(what, OURS, figure) * scale,
      unit,
      better,
      peer,
      peerValue: this.of(peerWhat, peer, figure) * scale,
    });
  }
}

/** @throws Error when a front-end or its daemon fails */
export async function daemonRounds(options: DaemonRoundsOptions): Promise<DaemonFigures> {
  const { daemon, command, directory, name, path, peer, rounds, onRound } = options;
  const samples = new Samples();
  const ours = await startFrontEnd({ command, directory, program: ourProgram(name) });
  const theirs = await startFrontEnd({ command, directory, program: (socket) => [peer, socket, name, path] });
  try {
    // The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      for (const { what, who, where, job } of measurements) {
        const frontEnd: FrontEnd = who === OURS ? ours : theirs;
        frontEnd.place(where);
        const answer = await frontEnd.run(job);
        if (round === 0) continue;
        for (const figure of ["p50", "p99", "perSecond"] as const)
          samples.add(`${what} ${who} ${figure}`, answer[figure]);
      }
      onRound(round);
    }
  } finally {
    await Promise.all([ours.stop(), theirs.stop()]);
  }
  return new DaemonFigures(daemon, samples);
}
