/**
 * `pnpm bench:vhost-user`: our drivers against daemons that others wrote, beside a C front-end that does the same with the
 * same daemon; and the web appliance over those daemons beside the dedicated machine. One run, rounds by turns.
 */

import { randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findDaemons, virtiofsdVersion } from "@toril/vhost-user";
import { compile } from "./peers/compile.ts";
import { machineDescription, type Result, table } from "./report.ts";
import { progress } from "./rounds.ts";
import { daemonRounds } from "./vhost-user/rounds.ts";
import { webRounds } from "./vhost-user/web.ts";

/**
 * pread gets what READ gets: a file of 64 MiB in the page cache, in pieces of 1 MiB one after the other, into 32 buffers of
 * 1 MiB by turns, in memory of the same kind (a memfd). Neither file nor buffers fit into a cache of 32 MiB together, as
 * they would with one buffer and one piece: that would measure the second-level cache.
 */
const FILE_BYTES = 64 * 2 ** 20;
const NAME = "file.bin";

const { values: options } = parseArgs({
  // pnpm hands a `--` on.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    /** `files`, `web`: only that part. */
    only: { type: "string" },
    /** How the web appliance runs: as packed (dist), or from the sources. */
    form: { type: "string", default: "source" },
  },
});

const rounds = Number(options.rounds);
const results: Result[] = [];
const absent: string[] = [];
if (options.only !== "web") results.push(...(await measureDaemons()));
if (options.only !== "files") results.push(...(await measureWeb()));
if (options.json) console.log(JSON.stringify({ machine: machineDescription(), results }));
else print();

async function measureDaemons(): Promise<readonly Result[]> {
  const commands = findDaemons("virtiofsd");
  if (commands.length === 0)
    absent.push("virtiofsd: install Debian's qemu-system-common, or run tooling/peers/install");
  let peer: string;
  try {
    peer = compile("vhost-user-fs");
  } catch (error) {
    absent.push(`C front-end, pread, stat: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
  const directory = mkdtempSync(join(tmpdir(), "toril-bench-"));
  try {
    const path = join(directory, NAME);
    writeFileSync(path, randomFillSync(new Uint8Array(FILE_BYTES)));
    const all: Result[] = [];
    for (const command of commands) {
      const { kind, version } = virtiofsdVersion(command);
      const daemon = `virtiofsd (${kind === "c" ? "C" : "Rust"}) ${version}`;
      const onRound = (round: number): void => progress(`bench:vhost-user: ${daemon}, round ${round} of ${rounds}`);
      const figures = await daemonRounds({ daemon, command, directory, name: NAME, path, peer, rounds, onRound });
      all.push(...figures.results);
    }
    return all;
  } finally {
    progress("");
    rmSync(directory, { recursive: true });
  }
}

async function measureWeb(): Promise<readonly Result[]> {
  if (findDaemons("virtiofsd").length === 0) return [];
  if (findDaemons("vhost-device-vsock").length === 0) absent.push("vhost-device-vsock: run tooling/peers/install");
  const onRound = (round: number): void => progress(`bench:vhost-user: web appliance, round ${round} of ${rounds}`);
  try {
    return await webRounds({ rounds, form: options.form === "dist" ? "dist" : "source", onRound });
  } finally {
    progress("");
  }
}

function print(): void {
  console.log(`Real daemons (medians of ${rounds} rounds)\n${machineDescription()}\n`);
  const digits = (value: number): string => value.toFixed(value < 100 ? 1 : 0);
  const rows = results.map(({ name, value, unit, better, peer, peerValue, ratio }) => {
    return [name, digits(value), unit, digits(peerValue), peer, ratio.toFixed(2), `${better} is better`];
  });
  console.log(table([["", "ours", "", "peer", "", "ours/peer", ""], ...rows]));
  for (const reason of absent) console.log(`absent: ${reason}`);
}
