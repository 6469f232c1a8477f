/** Runs ApacheBench and reads its report. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Load {
  readonly requests: number;
  readonly concurrency: number;
  readonly keepAlive: "keep-alive" | "new connections";
}

export interface AbReport {
  readonly requestsPerSecond: number;
  readonly complete: number;
  readonly failed: number;
  readonly non2xx: number;
}

/** @throws Error when ab is not installed or gives up */
export async function ab(url: string, { requests, concurrency, keepAlive }: Load): Promise<AbReport> {
  const flags = ["-q", "-r", "-s", "30", "-n", String(requests), "-c", String(concurrency)];
  if (keepAlive === "keep-alive") flags.push("-k");
  try {
    const { stdout } = await run("ab", [...flags, url], { maxBuffer: 2 ** 22 });
    return parseAb(stdout);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw missing ? new Error("ab is not installed: on Debian it is in the package apache2-utils") : error;
  }
}

export function parseAb(report: string): AbReport {
  const field = (name: string): number | undefined => {
    const match = new RegExp(`^${name}:\\s+([\\d.]+)`, "m").exec(report);
    return match?.[1] === undefined ? undefined : Number(match[1]);
  };
  const requestsPerSecond = field("Requests per second");
  const complete = field("Complete requests");
  if (requestsPerSecond === undefined || complete === undefined) throw new Error(`ab's report has no rate:\n${report}`);
  return {
    requestsPerSecond,
    complete,
    failed: field("Failed requests") ?? 0,
    non2xx: field("Non-2xx responses") ?? 0,
  };
}
