// The peers really run: each with payloads that are checked.
import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, test } from "vitest";
import type { Job } from "../job.ts";
import { startCPeer } from "./c-peers.ts";
import { PEER_NAMES, type PeerOptions } from "./peer.ts";
import { startPeers } from "./start.ts";

const options: PeerOptions = {
  process: new URL("../process.ts", import.meta.url),
  sources: new URL("../../peers/", import.meta.url),
  cpus: undefined,
};
const gcc = spawnSync("gcc", ["--version"]).error === undefined;
if (!gcc && process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error("TORIL_REQUIRE_PEERS=1, but there is no gcc");

const { peers, missing } = await startPeers(options);
afterAll(() => Promise.all(peers.map((peer) => peer.stop())));

test("all run, or their reason is told", () => {
  expect([...peers, ...missing].map(({ name }) => name).sort()).toEqual([...PEER_NAMES].sort());
  if (gcc) expect(missing).toEqual([]);
  for (const { reason } of missing) expect(reason).not.toBe("");
});

const JOB = { tx: "one-copy", receive: "copy", trace: "off", warmUp: 2, count: 20 } as const;

describe.each(peers.map((peer) => ({ name: peer.name, peer })))("$name", ({ peer }) => {
  test.each([
    ["rtt", 64, "checked"],
    ["rtt", 70_001, "checked"],
    ["bulk", 64, "checked"],
    ["bulk", 300_000, "checked"],
    ["rtt", 4096, "read"],
    ["bulk", 4096, "unread"],
  ] as const)("%s of %d bytes, %s", async (mode, size, payload) => {
    const job: Job = { ...JOB, mode, size, payload };
    const report = await peer.run(job);
    expect(report.samples).toHaveLength(20);
    expect(report.messages).toBe(20);
    expect(report.samples.every((sample) => sample >= 0)).toBe(true);
    expect(report.elapsedMs).toBeGreaterThan(0);
  });
});

test("a compiler that is not there is named", async () => {
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  try {
    await expect(startCPeer("c-spin", options)).rejects.toThrow("there is no gcc to compile it with");
  } finally {
    process.env["PATH"] = path;
  }
});
