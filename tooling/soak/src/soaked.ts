/** One machine under load: rounds of load and rest, a sample at each rest. */
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Clients } from "./clients.ts";
import { Site } from "./files.ts";
import { judge, type Verdict } from "./growth.ts";
import type { Order, Report } from "./machine-process.ts";
import { RULES, type Sample } from "./measure.ts";

export interface Outcome {
  readonly machine: string;
  readonly deeds: Readonly<Record<string, number>>;
  /** Milliseconds of the slowest of each. */
  readonly slowest: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly rests: number;
  readonly figures: Readonly<Record<string, Verdict>>;
}

/** Rests that warm things up: the engine compiles, pools fill. */
const WARM_UP = 3;
/** Rests without which there is nothing to judge. */
const FEWEST_SAMPLES = 3;
/** How long the last connections may take to end: a close that nobody answers takes 8 s. */
const REST_MS = 15_000;
const CLIENTS = 12;
/** A machine boots, and answers, in less than this. */
const ANSWER_MS = 60_000;
/** What must come to nothing by itself before a sample says anything. */
const STILL_BUSY = [
  "driver connections",
  "device connections",
  "requests in flight",
  "http connections",
  "guest timers",
];

export async function soak(
  machine: string,
  until: number,
  loadMs: number,
  progress: (rests: number) => void,
): Promise<Outcome> {
  const site = new Site();
  const child = fork(fileURLToPath(new URL("machine-process.ts", import.meta.url)), [machine, site.directory], {
    execArgv: [...process.execArgv, "--expose-gc"],
  });
  const mailbox = new Mailbox(child);
  try {
    const up = await mailbox.next("up");
    // vhost-device-vsock keeps some connections whose host side went away with bytes under way, and tells its guest nothing:
    // seen with 0.3.0; its descriptors stay open while ours are closed. Only clients that stay to the end are soaked there.
    const manners = machine === "vhost-user" ? "polite" : "any";
    // And with both windows full it may stop writing to its host side for good, although there is room: the bytes lie in
    // the daemon, and its epoll_wait does not return. An echo of less than a window never gets there.
    const echoBytes = machine === "vhost-user" ? 200_000 : 2_000_000;
    const clients = new Clients({ web: up.web, echo: up.echo, site, echoBytes }, manners);
    const samples: Sample[] = [];
    while (Date.now() < until || samples.length < WARM_UP + FEWEST_SAMPLES) {
      clients.start(CLIENTS);
      await sleep(loadMs);
      await clients.stop();
      samples.push(await rest(mailbox));
      progress(samples.length);
    }
    child.send({ kind: "stop" } satisfies Order);
    const { logged } = await mailbox.next("stopped");
    const { counts, slowest, faults } = clients.deeds;
    return {
      machine,
      deeds: counts,
      slowest,
      faults: [...faults, ...logged],
      rests: samples.length,
      figures: figures(samples),
    };
  } catch (error) {
    return { machine, deeds: {}, slowest: {}, faults: [String(error)], rests: 0, figures: {} };
  } finally {
    child.kill();
    site.remove();
  }
}

/** A sample when nothing is under way any more, or when that takes too long: then the sample shows it. */
async function rest(mailbox: Mailbox): Promise<Sample> {
  const patience = Date.now() + REST_MS;
  for (;;) {
    mailbox.child.send({ kind: "measure" } satisfies Order);
    const { sample } = await mailbox.next("sample");
    const busy = STILL_BUSY.reduce((sum, name) => sum + (sample[name] ?? 0), 0);
    if (busy === 0 || Date.now() > patience) return sample;
    await sleep(200);
  }
}

function figures(samples: readonly Sample[]): Record<string, Verdict> {
  const judged = samples.slice(WARM_UP);
  const entries = Object.entries(RULES)
    .filter(([name]) => judged.every((sample) => sample[name] !== undefined))
    .map(
      ([name, rule]) =>
        [
          name,
          judge(
            judged.map((sample) => sample[name] ?? 0),
            rule,
          ),
        ] as const,
    );
  return Object.fromEntries(entries);
}

/** Reports of a child, one after the other. */
class Mailbox {
  readonly child: ChildProcess;
  readonly #reports: Report[] = [];
  #ended: string | undefined;
  #wake: () => void = () => {};

  constructor(child: ChildProcess) {
    this.child = child;
    child.on("message", (report: Report) => {
      this.#reports.push(report);
      this.#wake();
    });
    child.on("exit", (code, signal) => {
      this.#ended = `the machine's process ended with ${code ?? signal}`;
      this.#wake();
    });
  }

  async next<K extends Report["kind"]>(kind: K): Promise<Extract<Report, { kind: K }>> {
    for (;;) {
      const report = this.#reports.shift();
      if (report?.kind === kind) return report as Extract<Report, { kind: K }>;
      if (report !== undefined) throw new Error(`the machine said "${report.kind}" where "${kind}" was due`);
      if (this.#ended !== undefined) throw new Error(this.#ended);
      const late = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), ANSWER_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(false);
        };
      });
      if (late) throw new Error(`the machine's process has not said "${kind}" for ${ANSWER_MS / 1_000} s`);
    }
  }
}
