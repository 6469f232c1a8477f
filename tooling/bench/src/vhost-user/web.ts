/** The web appliance on real daemons, against the dedicated machine: the same file, the same loads. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findDaemons } from "@toril/vhost-user";
import { ab, type Load } from "../ab.ts";
import { type Result, result } from "../report.ts";
import { Samples } from "../rounds.ts";
import { type Form, type RunningServer, startToril } from "../servers.ts";

export interface WebOptions {
  readonly rounds: number;
  readonly form: Form;
  readonly onRound: (round: number) => void;
}

/** Bytes of the page in Toro's measurement, as bench:web has it. */
const FILE_BYTES = 133_000;
const DEDICATED = "the dedicated machine";
const NO_VSOCK = "/nonexistent";

const loads: readonly (Load & { readonly name: string })[] = [
  { name: "ab -c 1", requests: 1_000, concurrency: 1, keepAlive: "new connections" },
  { name: "ab -c 32", requests: 2_000, concurrency: 32, keepAlive: "new connections" },
  { name: "ab -k -c 32", requests: 4_000, concurrency: 32, keepAlive: "keep-alive" },
];

/** @throws Error when a request fails */
export async function webRounds({ rounds, form, onRound }: WebOptions): Promise<readonly Result[]> {
  const directory = mkdtempSync(join(tmpdir(), "toril-bench-"));
  writeFileSync(
    join(directory, "page.bin"),
    Uint8Array.from({ length: FILE_BYTES }, (_, i) => (i * 31) & 0xff),
  );
  const servers: RunningServer[] = [];
  const samples = new Samples();
  try {
    servers.push(await startToril(DEDICATED, directory, { form, flags: ["--machine", "dedicated"] }));
    servers.push(...(await startOverDaemons(directory, form)));
    // The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      for (const load of loads) {
        for (const server of servers) {
          const rate = await measure(server, load, round === 0 ? 10 : 1);
          if (round > 0) samples.add(`${load.name} ${server.name}`, rate);
        }
      }
      onRound(round);
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(directory, { recursive: true });
  }
  return servers.slice(1).flatMap((server) => loads.map((load) => compare(samples, server.name, load.name)));
}

async function startOverDaemons(directory: string, form: Form): Promise<RunningServer[]> {
  const flags = ["--machine", "vhost-user", "--spawn"];
  const servers: RunningServer[] = [];
  if (findDaemons("vhost-device-vsock").length > 0) {
    servers.push(await startToril("virtiofsd and vhost-device-vsock", directory, { form, flags }));
  }
  // Where the environment names one that is not there, our own device takes its place.
  const named = process.env["TORIL_VHOST_DEVICE_VSOCK"];
  process.env["TORIL_VHOST_DEVICE_VSOCK"] = NO_VSOCK;
  try {
    servers.unshift(await startToril("virtiofsd and our vsock device", directory, { form, flags }));
  } finally {
    if (named === undefined) delete process.env["TORIL_VHOST_DEVICE_VSOCK"];
    else process.env["TORIL_VHOST_DEVICE_VSOCK"] = named;
  }
  return servers;
}

async function measure(server: RunningServer, load: (typeof loads)[number], divisor: number): Promise<number> {
  const requests = load.requests / divisor;
  const report = await ab(`${server.url}page.bin`, { ...load, requests });
  if (report.complete !== requests || report.failed + report.non2xx > 0) {
    throw new Error(`${server.name}, ${load.name}: ${report.failed} failed, ${report.non2xx} not 2xx`);
  }
  return report.requestsPerSecond;
}

function compare(samples: Samples, server: string, load: string): Result {
  return result({
    name: `web appliance over ${server}, ${load}`,
    value: samples.of(`${load} ${server}`).median,
    unit: "requests/s",
    better: "higher",
    peer: DEDICATED,
    peerValue: samples.of(`${load} ${DEDICATED}`).median,
  });
}
