// `toril ping-pong` as a user starts it, with a handful of messages: nothing here says how fast anything is.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findDaemons } from "@toril/vhost-user";
import { afterAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
import { Cli, type Ending, toril } from "./testing/cli.ts";

const directory = mkdtempSync(join(tmpdir(), "toril-ping-pong-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

const FEW = ["--count", "3", "--rounds", "1"];
const HEADER = 44;

interface Entry {
  readonly machine: string;
  readonly name: string;
  readonly tx: string;
  readonly size: number;
  readonly mode: string;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly mbPerS: number;
  readonly messages: number;
  readonly countedMessages: number;
  readonly copiedBytesPerMessage: { readonly tx: number; readonly rx: number };
  readonly packets: { readonly tx: number };
  readonly notifications: number;
  readonly notificationsSuppressed: number;
  readonly creditWaitUs: number;
  readonly whenRead: { readonly p50Us: number };
}

interface Document {
  readonly machine: string;
  readonly partial: boolean;
  readonly results: readonly Entry[];
  readonly peers: readonly Entry[];
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

function documentOf({ code, stdout, stderr }: Ending): Document {
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as Document;
}

function expectFigures(entry: Entry): void {
  for (const value of [entry.p50Us, entry.p99Us, entry.p999Us, entry.mbPerS, entry.whenRead.p50Us]) {
    expect(value).toBeGreaterThan(0);
    expect(Number.isFinite(value)).toBe(true);
  }
  expect(entry.p99Us).toBeGreaterThanOrEqual(entry.p50Us);
  expect(entry.p999Us).toBeGreaterThanOrEqual(entry.p99Us);
  expect(entry.messages).toBe(3);
}

// Two machines, seven peers, two hundred runs: seconds, but more of them than the other tests take.
test("inline and dedicated, every path, with peers: one JSON document; the copies are the paths'", {
  timeout: 180_000,
}, async () => {
  const sizes = [64, 70_000];
  const { results, peers, missing, partial, machine } = documentOf(
    await toril(["ping-pong", "--sizes", sizes.join(","), ...FEW, "--json"]),
  );
  expect(machine).toContain(process.version);
  expect(partial).toBe(false);
  const keys = ["inline", "dedicated"].flatMap((kind) =>
    ["two-copy", "one-copy", "zero-copy"].flatMap((tx) =>
      ["rtt", "bulk"].flatMap((mode) => sizes.map((size) => `${kind} ${tx} ${mode} ${size}`)),
    ),
  );
  expect(results.map(({ machine: kind, tx, mode, size }) => `${kind} ${tx} ${mode} ${size}`)).toEqual(keys);
  for (const entry of results) {
    expectFigures(entry);
    const { tx, size, mode, copiedBytesPerMessage: copied, packets, countedMessages } = entry;
    const headers = (HEADER * packets.tx) / countedMessages;
    const copies = tx === "two-copy" ? 2 : tx === "one-copy" || size === 64 ? 1 : 0;
    // Packets without payload have headers, too: those are copied once on every path.
    expect(copied.tx).toBeGreaterThanOrEqual(copies * size);
    expect(copied.tx).toBeLessThanOrEqual(copies * size + Math.max(1, copies) * headers + 0.001);
    expect(copied.rx).toBe(mode === "bulk" || tx === "zero-copy" ? 0 : size);
    expect(entry.notifications + entry.notificationsSuppressed).toBeGreaterThan(0);
    expect(entry.creditWaitUs).toBeGreaterThanOrEqual(0);
  }
  const names = ["node-unix", "node-tcp", "message-port-copy", "message-port-transfer", "c-spin", "c-futex", "c-unix"];
  expect([...new Set(peers.map(({ name }) => name)), ...missing.map(({ name }) => name)].sort()).toEqual(names.sort());
  peers.forEach(expectFigures);
  expect(peers).toHaveLength((names.length - missing.length) * sizes.length * 2);
});

test("the table, and a report beside it", async () => {
  const file = join(directory, "report.html");
  const flags = ["--machine", "inline", "--tx", "one-copy", "--sizes", "4k", "--mode", "rtt", "--no-peers"];
  const { code, stdout, stderr } = await toril(["ping-pong", ...flags, ...FEW, "--report", file]);
  expect([code, stderr]).toEqual([0, `toril: the report is in ${file}\n`]);
  expect(stdout).toMatch(/^inline one-copy {2,}[\d.]+ \/ [\d.]+$/m);
  expect(stdout).toMatch(/^inline one-copy 4 KiB .* 4140 +4096 /m);
  const page = readFileSync(file, "utf8");
  expect(page).toMatch(/^<!doctype html>/);
  expect(page).toContain("Round trip, inline machine");
});

test("--capture: the packets of each machine in a file of its own", async () => {
  const file = join(directory, "packets.pcap");
  const flags = ["--tx", "zero-copy", "--sizes", "64", "--mode", "rtt", "--no-peers", "--capture", file];
  const { code, stderr } = await toril(["ping-pong", ...flags, ...FEW]);
  expect([code, stderr]).toEqual([0, ""]);
  for (const machine of ["inline", "dedicated"]) {
    const capture = readFileSync(join(directory, `packets.${machine}.pcap`));
    // The magic number of pcap with nanoseconds, and LINKTYPE_VSOCK.
    expect([capture.readUInt32LE(0), capture.readUInt32LE(20)]).toEqual([0xa1b2_3c4d, 271]);
  }
  const refused = await toril(["ping-pong", "--machine", "inline", "--capture", "/nonexistent/a.pcap", ...FEW]);
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toMatch(/^toril: ping-pong: cannot record into \/nonexistent\/a\.pcap: .*\n$/);
});

test("vhost-user, through vhost-device-vsock: over its Unix socket, from a process of its own", async (context) => {
  if (findDaemons("vhost-device-vsock").length === 0) {
    if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error("TORIL_REQUIRE_PEERS=1, but no vhost-device-vsock");
    context.skip("no vhost-device-vsock: see tooling/peers/install");
  }
  const flags = ["--machine", "vhost-user", "--sizes", "64,20000", "--no-peers", "--json"];
  const { results } = documentOf(await toril(["ping-pong", ...flags, ...FEW]));
  expect(results).toHaveLength(12);
  results.forEach(expectFigures);
  expect(results.find(({ tx, size }) => tx === "two-copy" && size === 64)?.copiedBytesPerMessage.tx).toBeGreaterThan(
    128,
  );
});

test("SIGINT ends it in order, with what was measured so far; that it is partial is said", async () => {
  const file = join(directory, "interrupted.pcap");
  const flags = ["--machine", "dedicated", "--sizes", "64", "--rounds", "1000", "--no-peers", "--capture", file];
  const cli = new Cli(["ping-pong", ...flags]);
  // It is at work once there are packets; at what does not matter.
  while (!existsSync(file) || statSync(file).size === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const { code, stdout, stderr } = await cli.signal("SIGINT");
  expect(stderr).toBe("toril: SIGINT: ends with what was measured so far; once more to stop at once\n");
  expect(code).toBe(0);
  expect(stdout).toContain("PARTIAL");
});

describe("bad options: exit code 2, one line, nothing on stdout", () => {
  test.each([
    [["--sizes", "64,abc"], /"abc" is not a size/],
    [["--sizes", "0"], /"0" is no message size: give 1 to 16777216 bytes/],
    [["--sizes", "64,64"], /64 is there twice/],
    [["--sizes", ""], /"" is not a size/],
    [["--count", "0"], /"0" is not a count/],
    [["--count", "1.5"], /"1.5" is not a count/],
    [["--rounds", "many"], /"many" is not a count/],
    [["--tx", "three-copy"], /Allowed choices are two-copy, one-copy, zero-copy, all/],
    [["--machine", "metal"], /Allowed choices are inline, dedicated, vhost-user, all/],
    [["--mode", "up"], /Allowed choices are rtt, bulk, all/],
    [["--preset", "nobody"], /Allowed choices are default/],
    [["--pin", "0"], /"0" is no pair of processors/],
    [["--report", "/nonexistent/report.html"], /nothing can be written to \/nonexistent/],
    [["--report", tmpdir()], /is a directory: name a file/],
    [["--xyzzy"], /unknown option '--xyzzy'/],
  ])("%j", async (args, line) => {
    const [stdout, stderr]: [string[], string[]] = [[], []];
    const code = await runCli(["ping-pong", ...args], {
      stdout: (text) => void stdout.push(text),
      stderr: (text) => void stderr.push(text),
    });
    expect([code, stdout]).toEqual([2, []]);
    expect(stderr.join("")).toMatch(line);
    expect(stderr.join("").trimEnd().split("\n")).toHaveLength(1);
  });
});

test("a processor that is not there: one line, exit code 1", async () => {
  const { code, stdout, stderr } = await toril(["ping-pong", "--pin", "0,9999", ...FEW]);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^toril: ping-pong: cannot pin to processor 9999: .*\n$/);
});

test("--preset toro-2023: every step, every path, round trips and pages", async () => {
  const few = ["--preset", "toro-2023", "--sizes", "8192", "--count", "3", "--rounds", "1", "--json"];
  const { code, stdout, stderr } = await toril(["ping-pong", ...few]);
  expect([code, stderr]).toEqual([0, ""]);
  const { results, steps, partial } = JSON.parse(stdout) as {
    results: readonly { step: string; tx: string; mode: string; copiedBytes: number; pages: number }[];
    steps: readonly { name: string }[];
    partial: boolean;
  };
  expect([results.length, partial]).toEqual([steps.length * 3 * 2, false]);
  // A page of 133,000 bytes: two copies, one, or none, beside heads and headers.
  for (const { tx, copiedBytes, pages } of results.filter(({ mode }) => mode === "page")) {
    const copies = Math.round(copiedBytes / pages / 133_000);
    expect([tx, copies]).toEqual([tx, tx === "two-copy" ? 2 : tx === "one-copy" ? 1 : 0]);
  }
});

test("--preset toro-2023 has machines and loads of its own", async () => {
  const { code, stderr } = await toril(["ping-pong", "--preset", "toro-2023", "--machine", "inline"]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^toril: the preset toro-2023 .* leave --machine out\n$/)]);
});
