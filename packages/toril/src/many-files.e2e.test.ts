// A directory of many files of all sizes comes back byte-identical, in both machines, also through other people's clients.
// With TORIL_FULL=1: 10,000 files of up to 100 MB.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { counter, type Served, serve } from "./testing/cli.ts";
import { ask } from "./testing/client.ts";
import { FULL, MACHINES, testWith } from "./testing/peers.ts";
import { encodeName, noise, Site } from "./testing/site.ts";

const run = promisify(execFile);
const site = new Site();
const FILES = FULL ? 10_000 : 1_500;
const LARGEST = FULL ? 100 * 2 ** 20 : 24 * 2 ** 20;
const MINUTES = 60_000;
/** Sizes around everything that has a limit: packets, cache blocks, windows, requests. */
const EDGES = [0, 1, 1023, 1024, 2047, 2048, 2049, 4095, 4096, 32_767, 32_768, 65_535, 65_536, 65_537];
const LARGE = [131_072, 262_143, 262_144, 262_145, 1_048_575, 1_048_576, 1_048_577, LARGEST - 1, LARGEST];
const digest = (bytes: Uint8Array): string => createHash("sha1").update(bytes).digest("hex");

interface Wanted {
  readonly target: string;
  readonly size: number;
  readonly sha1: string;
}
const wanted: Wanted[] = [];

beforeAll(() => {
  site.write("index.html", "home");
  site.write("133k.bin", noise(133_000, 5));
  const pool = noise(LARGEST, 3);
  for (let i = 0; i < FILES; i++) {
    const size = LARGE[i] ?? EDGES[i % EDGES.length] ?? 0;
    const bytes = pool.subarray((i * 13) % (LARGEST - size + 1)).subarray(0, size);
    const directory = `d${i % 97}`;
    const name = i % 10 === 0 ? `odd "${i}" ü%41?#&.txt` : `${i}.bin`;
    mkdirSync(join(site.root, directory), { recursive: true });
    writeFileSync(join(site.root, directory, name), bytes);
    wanted.push({ target: `/${directory}/${encodeName(name)}`, size, sha1: digest(bytes) });
  }
}, 3 * MINUTES);
afterAll(() => site.remove());

/** A body as node:http's own client reads it, over kept connections; its digest. */
function fetched(agent: Agent, port: number, target: string): Promise<{ status: number | undefined; sha1: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, port, host: "127.0.0.1", path: target }, (response) => {
      const hash = createHash("sha1");
      response.on("data", (chunk: Buffer) => hash.update(chunk));
      response.on("end", () => resolve({ status: response.statusCode, sha1: hash.digest("hex") }));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

describe.each(MACHINES)("%s machine", (machine) => {
  let served: Served;
  beforeAll(async () => {
    served = await serve(site.root, "--machine", machine);
  });
  afterAll(async () => {
    const stats = await served.stop();
    expect(counter(stats, "web appliance", "responses", "5xx")).toBe(0);
    expect(counter(stats, "web appliance", "cutOff")).toBe(0);
  });

  test(
    `${FILES} files up to ${LARGEST} bytes come back as they are, 16 connections at once`,
    async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 16 });
      const queue = wanted.values();
      let wrong: Wanted | undefined;
      const worker = async (): Promise<void> => {
        for (const file of queue) {
          const { status, sha1 } = await fetched(agent, served.port, file.target);
          if (status !== 200 || sha1 !== file.sha1) wrong = file;
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      agent.destroy();
      expect(wrong).toBe(undefined);
    },
    10 * MINUTES,
  );

  test("a directory of 97 directories, and each of them, list every name", async () => {
    const names = (page: string): string[] =>
      [...page.matchAll(/<a href="(?!\.\.\/)([^"]*)">/g)].map((m) => m[1] ?? "");
    const page = (await ask(served.port, "/d0/")).body.toString();
    expect(names(page).sort()).toEqual(readdirSync(join(site.root, "d0")).map(encodeName).sort());
  });

  testWith("curl", "--version")("curl reads all kinds of files as they are", async () => {
    const some = wanted.filter((_, i) => i < LARGE.length || i % Math.ceil(FILES / 100) === 0);
    const config = some.map(
      ({ target }, i) =>
        `url = "http://127.0.0.1:${served.port}${target}"\noutput = "${join(site.path, `${machine}-${i}`)}"\n`,
    );
    writeFileSync(join(site.path, "curl.cfg"), config.join(""));
    await run("curl", ["--silent", "--show-error", "--fail", "--path-as-is", "--config", join(site.path, "curl.cfg")]);
    for (const [i, { target, sha1 }] of some.entries()) {
      expect([target, digest(readFileSync(join(site.path, `${machine}-${i}`)))]).toEqual([target, sha1]);
    }
  });

  testWith("ab", "-V")("ab -n 10000 -c 100 -k: no failed request", async () => {
    const url = `http://127.0.0.1:${served.port}/133k.bin`;
    const { stdout } = await run("ab", ["-q", "-n", "10000", "-c", "100", "-k", url], { maxBuffer: 2 ** 20 });
    expect(stdout).toMatch(/^Complete requests: +10000$/m);
    expect(stdout).toMatch(/^Failed requests: +0$/m);
    expect(stdout).toMatch(/^Keep-Alive requests: +10000$/m);
    expect(stdout).not.toMatch(/Non-2xx/);
  });
});
