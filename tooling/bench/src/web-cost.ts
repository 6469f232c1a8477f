/**
 * What a request costs the serving process, in processor time, as there are more connections and more files: it is to
 * stay as it is. Processor time, because a rate also says how busy the client is.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ab } from "./ab.ts";
import { requestFiles } from "./file-load.ts";
import { processorTime } from "./process-cost.ts";
import { type Result, result } from "./report.ts";
import { progress } from "./rounds.ts";
import { type Form, type RunningServer, startToril } from "./servers.ts";

const CONNECTIONS = [1, 10, 100, 1_000];
const FILES = [10, 1_000, 100_000];
/** Files of one directory: as a site has them, and far fewer than would make the host's file system slow. */
const FILES_PER_DIRECTORY = 1_000;

export interface ConnectionsOptions {
  readonly directory: string;
  readonly page: string;
  readonly form: Form;
  readonly requests: number;
}

/** Kept connections, all of them busy. */
export async function costOfConnections({ directory, page, form, requests }: ConnectionsOptions): Promise<Result[]> {
  const server = await startToril("toril", directory, { form });
  try {
    const load = (concurrency: number): Promise<unknown> =>
      ab(`${server.url}${page}`, { requests, concurrency, keepAlive: "keep-alive" });
    await load(100); // warms up
    const costs: number[] = [];
    for (const connections of CONNECTIONS) {
      progress(`bench:web: ${connections} connections`);
      costs.push(await costPerRequest(server, requests, () => load(connections)));
    }
    return compared(CONNECTIONS, costs, (count) => `a request on one of ${count} connections`);
  } finally {
    await server.stop();
  }
}

export interface FilesOptions {
  readonly form: Form;
  readonly requests: number;
  /** The largest number of files to try. */
  readonly most: number;
}

/** Each request another file of all there are, without the guest's cache: what is cached costs nothing to find. */
export async function costOfFiles({ form, requests, most }: FilesOptions): Promise<Result[]> {
  const counts = FILES.filter((count) => count <= most);
  const costs: number[] = [];
  for (const count of counts) {
    progress(`bench:web: ${count} files`);
    const directory = mkdtempSync(join(tmpdir(), "toril-bench-files-"));
    try {
      makeFiles(directory, count);
      costs.push(await costAmong(directory, count, { form, requests }));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  progress("");
  return compared(counts, costs, (count) => `a request for one of ${count} files, no cache`);
}

async function costAmong(
  directory: string,
  count: number,
  { form, requests }: { readonly form: Form; readonly requests: number },
): Promise<number> {
  const server = await startToril("toril", directory, { form, flags: ["--cache", "none"] });
  try {
    // A step without a common divisor with any count: every file has its turn, and neighbours are far apart.
    const path = (request: number): string => pathOf((request * 7_919) % count);
    const load = (many: number): Promise<void> =>
      requestFiles({ url: server.url, requests: many, connections: 8, path });
    await load(Math.ceil(requests / 4));
    return await costPerRequest(server, requests, () => load(requests));
  } finally {
    await server.stop();
  }
}

async function costPerRequest(server: RunningServer, requests: number, load: () => Promise<unknown>): Promise<number> {
  const before = processorTime(server.pid);
  await load();
  return (processorTime(server.pid) - before) / requests;
}

/** Each against the first. */
function compared(counts: readonly number[], costs: readonly number[], name: (count: number) => string): Result[] {
  return counts.map((count, i) =>
    result({
      name: name(count),
      value: costs[i] ?? Number.NaN,
      unit: "µs of processor time",
      better: "lower",
      peer: name(counts[0] ?? 0),
      peerValue: costs[0] ?? Number.NaN,
    }),
  );
}

function pathOf(file: number): string {
  return `/${Math.floor(file / FILES_PER_DIRECTORY)}/${file}.txt`;
}

function makeFiles(directory: string, count: number): void {
  for (let file = 0; file < count; file++) {
    if (file % FILES_PER_DIRECTORY === 0) mkdirSync(join(directory, String(file / FILES_PER_DIRECTORY)));
    writeFileSync(join(directory, pathOf(file)), `file ${file}\n`);
  }
}
