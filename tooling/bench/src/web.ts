/**
 * `pnpm bench:web`: one 133 KB file, the size of the page in Toro's measurement, from `toril serve` and from its peers
 * in the same run. Rounds are interleaved, so that a noisy minute hits all of them; the medians are compared.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ab, type Load } from "./ab.ts";
import { machineDescription, median, type Result, result, table } from "./report.ts";
import { type RunningServer, startPeer, startToril } from "./servers.ts";

/** Bytes of the page in Toro's measurement. */
const FILE_BYTES = 133_000;

const loads: readonly (Load & { readonly name: string })[] = [
  { name: "ab -c 1", requests: 2_000, concurrency: 1, keepAlive: "new connections" },
  { name: "ab -c 32", requests: 4_000, concurrency: 32, keepAlive: "new connections" },
  { name: "ab -k -c 32", requests: 4_000, concurrency: 32, keepAlive: "keep-alive" },
];

const { values: options } = parseArgs({
  // pnpm hands a `--` on.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    /** Divides the number of requests: a quick look. */
    quick: { type: "boolean", default: false },
  },
});

const directory = mkdtempSync(join(tmpdir(), "toril-bench-"));
writeFileSync(
  join(directory, "page.bin"),
  Uint8Array.from({ length: FILE_BYTES }, (_, i) => (i * 31) & 0xff),
);
const servers: RunningServer[] = [];
try {
  servers.push(await startToril("toril inline", directory, ["--machine", "inline"]));
  servers.push(await startToril("toril dedicated", directory, ["--machine", "dedicated"]));
  servers.push(await startPeer("sirv", "sirv.ts", directory));
  servers.push(await startPeer("node:http + readFile", "node-http.ts", directory));
  const rates = await measure(Number(options.rounds));
  print(rates);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(directory, { recursive: true });
}

/** Requests per second, by load and server: the median of the rounds. */
async function measure(rounds: number): Promise<Map<string, number>> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const load of loads) {
      for (const server of servers) {
        const requests = Math.ceil(load.requests / (round === 0 || options.quick ? 10 : 1));
        const report = await ab(`${server.url}page.bin`, { ...load, requests });
        if (report.complete !== requests || report.failed + report.non2xx > 0) {
          throw new Error(`${server.name}, ${load.name}: ${report.failed} failed, ${report.non2xx} not 2xx`);
        }
        // The first round warms up.
        const key = `${load.name} ${server.name}`;
        if (round > 0) samples.set(key, [...(samples.get(key) ?? []), report.requestsPerSecond]);
      }
    }
    if (process.stderr.isTTY) process.stderr.write(`\rbench:web: round ${round} of ${rounds}`);
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  return new Map([...samples].map(([key, values]) => [key, median(values)]));
}

function print(rates: ReadonlyMap<string, number>): void {
  const rate = (load: string, server: string): number => rates.get(`${load} ${server}`) ?? Number.NaN;
  const [ours, peers] = [servers.slice(0, 2), servers.slice(2)];
  const results: Result[] = loads.flatMap(({ name }) =>
    ours.flatMap((server) =>
      peers.map((peer) =>
        result({
          name: `${server.name}, ${name}`,
          value: rate(name, server.name),
          unit: "requests/s",
          better: "higher",
          peer: peer.name,
          peerValue: rate(name, peer.name),
        }),
      ),
    ),
  );
  if (options.json) {
    console.log(JSON.stringify({ machine: machineDescription(), results }));
    return;
  }
  console.log(
    `One file of ${FILE_BYTES} bytes, requests per second (median of ${options.rounds} rounds)\n${machineDescription()}\n`,
  );
  const header = ["", ...servers.map((server) => server.name), "inline/sirv", "dedicated/sirv"];
  const rows = loads.map(({ name }) => [
    name,
    ...servers.map((server) => rate(name, server.name).toFixed(0)),
    ...ours.map((server) => (rate(name, server.name) / rate(name, "sirv")).toFixed(2)),
  ]);
  console.log(table([header, ...rows]));
}
