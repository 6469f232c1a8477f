/**
 * `pnpm bench:web`: one 133 KB file, the size of the page in Toro's measurement, from `toril serve` and from its peers
 * in the same run. Rounds are interleaved, so that a noisy minute hits all of them; the medians are compared.
 *
 * Then: what the guest copies for a response, and what a request costs with more connections and with more files.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ab, type Load } from "./ab.ts";
import { startNginx } from "./nginx.ts";
import { printResults, type Result, result, table } from "./report.ts";
import { progress, Samples } from "./rounds.ts";
import { type Form, type RunningServer, startPeer, startToril } from "./servers.ts";
import { copiesPerResponse } from "./web-copies.ts";
import { costOfConnections, costOfFiles } from "./web-cost.ts";

/** Bytes of the page in Toro's measurement. */
const FILE_BYTES = 133_000;
const PAGE = "page.bin";

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
    /** `dist` is what users install; `source` needs no build, and is slower: its functions are named at run time. */
    form: { type: "string", default: "dist" },
    /** What to measure, a comma between. */
    parts: { type: "string", default: "rates,copies,connections,files" },
  },
});
const rounds = Number(options.rounds);
const form: Form = options.form === "source" ? "source" : "dist";

const directory = mkdtempSync(join(tmpdir(), "toril-bench-"));
writeFileSync(
  join(directory, PAGE),
  Uint8Array.from({ length: FILE_BYTES }, (_, i) => (i * 31) & 0xff),
);
const scale = options.quick ? 10 : 1;
try {
  const rates = has("rates") ? await throughput() : { results: [], text: "" };
  const costs: Result[] = [];
  if (has("copies")) costs.push(...(await copiesPerResponse({ directory, page: PAGE, form, requests: 5_000 / scale })));
  if (has("connections")) {
    costs.push(...(await costOfConnections({ directory, page: PAGE, form, requests: 20_000 / scale })));
  }
  if (has("files")) {
    costs.push(...(await costOfFiles({ form, requests: 20_000 / scale, most: options.quick ? 1_000 : 100_000 })));
  }
  const title = `One file of ${FILE_BYTES} bytes, requests per second (median of ${rounds} rounds; toril from its ${form})`;
  printResults(options.json, [...rates.results, ...costs], () => `${title}\n${rates.text}`, costs);
} finally {
  rmSync(directory, { recursive: true });
}

/** Whether a part of the benchmark is wanted. */
function has(part: "rates" | "copies" | "connections" | "files"): boolean {
  return options.parts.split(",").includes(part);
}

/** Requests per second of everybody, interleaved. */
async function throughput(): Promise<{ results: Result[]; text: string }> {
  const servers: RunningServer[] = [];
  try {
    const ours: RunningServer[] = [];
    for (const [name, ...flags] of [
      ["toril inline", "--machine", "inline"],
      ["toril dedicated", "--machine", "dedicated"],
      ["toril inline, no cache", "--machine", "inline", "--cache", "none"],
      ["toril dedicated, no cache", "--machine", "dedicated", "--cache", "none"],
    ] as const) {
      ours.push(await startToril(name, directory, { flags, form }));
      servers.push(ours.at(-1) as RunningServer);
    }
    const nginx = await startNginx(directory);
    const peers = [
      await startPeer("sirv", "sirv.ts", directory),
      await startPeer("node:http + readFile", "node-http.ts", directory),
      ...(nginx === undefined ? [] : [nginx]),
    ];
    servers.push(...peers);
    const samples = await measure(servers);
    const rate = (load: string, server: string): number => samples.of(`${load} ${server}`).median;
    const results = loads.flatMap(({ name }) =>
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
    const rows = servers.map((server) => [
      server.name,
      ...loads.flatMap(({ name }) => {
        const { median, least, most } = samples.of(`${name} ${server.name}`);
        return [median.toFixed(0), `${least.toFixed(0)}…${most.toFixed(0)}`];
      }),
      ...["sirv", "nginx"].map((peer) =>
        loads.map(({ name }) => (rate(name, server.name) / rate(name, peer)).toFixed(2)).join(" "),
      ),
    ]);
    const header = ["", ...loads.flatMap(({ name }) => [name, "spread"]), "by sirv", "by nginx"];
    const absent = nginx === undefined ? "\nnginx is absent: on Debian it is in the package nginx-light" : "";
    return { results, text: `${table([header, ...rows])}${absent}` };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function measure(servers: readonly RunningServer[]): Promise<Samples> {
  const samples = new Samples();
  for (let round = 0; round <= rounds; round++) {
    for (const load of loads) {
      for (const server of servers) {
        progress(`bench:web: round ${round} of ${rounds}, ${load.name}, ${server.name}`);
        const requests = Math.ceil(load.requests / scale);
        const report = await ab(`${server.url}${PAGE}`, { ...load, requests });
        if (report.complete !== requests || report.failed + report.non2xx > 0) {
          throw new Error(`${server.name}, ${load.name}: ${report.failed} failed, ${report.non2xx} not 2xx`);
        }
        // The first round warms up.
        if (round > 0) samples.add(`${load.name} ${server.name}`, report.requestsPerSecond);
      }
    }
  }
  progress("");
  return samples;
}
