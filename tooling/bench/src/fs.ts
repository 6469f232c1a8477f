/**
 * `pnpm bench:fs`: what file operations take through the whole virtio-fs stack (file calls, driver, FUSE messages, rings,
 * device, HostDirectory), against node:fs on the same directory. One after the other, so this is latency; the file is in
 * the host's page cache. With `cache: "none"` each operation goes all the way; with `auto` the guest may answer itself.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createMachine, type MachineKind } from "@toril/machine";
import { LARGE, LISTED, operations, type RunTimes, SMALL } from "./fs-operations.ts";
import { promiseTimes, syncTimes } from "./fs-peers.ts";
import { printResults, type Result, result, table } from "./report.ts";
import { progress, Samples } from "./rounds.ts";

const { values: options } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    /** Milliseconds for each operation, by each, in each round. */
    time: { type: "string", default: "300" },
  },
});
const rounds = Number(options.rounds);
const milliseconds = Number(options.time);

const guests = [
  { name: "inline", machine: "inline", cache: "none" },
  { name: "dedicated", machine: "dedicated", cache: "none" },
  { name: "inline, cached", machine: "inline", cache: "auto" },
] as const;
const peers = [
  { name: "node:fs sync", times: syncTimes },
  { name: "node:fs promises", times: promiseTimes },
] as const;

const directory = mkdtempSync(join(tmpdir(), "toril-bench-fs-"));
try {
  writeFileSync(join(directory, SMALL.name), new Uint8Array(SMALL.bytes).fill(1));
  writeFileSync(join(directory, LARGE.name), new Uint8Array(LARGE.bytes).fill(2));
  mkdirSync(join(directory, LISTED.name));
  for (let i = 0; i < LISTED.files; i++) writeFileSync(join(directory, LISTED.name, `file-${i}.txt`), "");
  const samples = await measure();
  printResults(options.json, results(samples), () => text(samples), []);
} finally {
  rmSync(directory, { recursive: true });
}

async function measure(): Promise<Samples> {
  const samples = new Samples();
  for (let round = 0; round <= rounds; round++) {
    const add = (name: string, times: RunTimes): void => {
      // The first round warms up.
      if (round > 0) for (const operation of operations) samples.add(`${operation} ${name}`, times[operation]);
      progress(`bench:fs: round ${round} of ${rounds}, ${name}`);
    };
    for (const { name, machine, cache } of guests) add(name, await guestTimes(machine, cache));
    for (const { name, times } of peers) add(name, await times(directory, milliseconds));
  }
  progress("");
  return samples;
}

/** A machine of its own for each round: what one has warmed up, another has not. */
async function guestTimes(kind: MachineKind, cache: "none" | "auto"): Promise<RunTimes> {
  const machine = await createMachine({
    kind,
    directory: { path: directory, cache },
    preload: [new URL("../../vitest/tsx-preload.js", import.meta.url)],
  });
  try {
    const program = await machine.start({ module: new URL("fs-guest.ts", import.meta.url), args: { milliseconds } });
    if ((await program.ready) === "ended") {
      const exit = await program.ended;
      throw exit.kind === "failed" ? exit.error : new Error("the guest's program ended early");
    }
    return (await machine.stats()).parts["times"] as RunTimes;
  } finally {
    await machine.stop();
  }
}

function results(samples: Samples): Result[] {
  return operations.flatMap((operation) =>
    guests.flatMap((guest) =>
      peers.map((peer) =>
        result({
          name: `${operation}, ${guest.name}`,
          value: samples.of(`${operation} ${guest.name}`).median,
          unit: "µs",
          better: "lower",
          peer: peer.name,
          peerValue: samples.of(`${operation} ${peer.name}`).median,
        }),
      ),
    ),
  );
}

function text(samples: Samples): string {
  const everybody = [...guests, ...peers].map(({ name }) => name);
  const time = (operation: string, name: string): number => samples.of(`${operation} ${name}`).median;
  const rows = operations.map((operation) => [
    operation,
    ...everybody.map((name) => time(operation, name).toFixed(1)),
    ...peers.map((peer) => (time(operation, "inline") / time(operation, peer.name)).toFixed(2)),
  ]);
  const header = ["µs", ...everybody, "inline by sync", "inline by promises"];
  return `Microseconds for one operation (median of ${rounds} rounds)\n${table([header, ...rows])}`;
}
