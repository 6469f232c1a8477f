// Every way to send, every way to cache, little memory: the same bytes, and counters that say which way they took.
import type { MachineStats } from "@toril/machine";
import { afterAll, beforeAll, expect, test } from "vitest";
import { counter, serve } from "./testing/cli.ts";
import { ask, replies, request, talk } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { noise, Site } from "./testing/site.ts";

const site = new Site();
const BIG = 10 * 2 ** 20;
const big = noise(BIG, 11);
const page = noise(20_000, 12);
/** A vsock packet's header (virtio 1.3 §5.10.6). */
const HEADER = 44;
const PATHS = ["two-copy", "one-copy", "zero-copy"] as const;
const CACHES = ["none", "auto", "always"] as const;
beforeAll(() => {
  site.write("index.html", "home");
  site.write("big.bin", big);
  site.write("page.bin", page);
});
afterAll(() => site.remove());

const EACH = MACHINES.flatMap((machine) =>
  PATHS.map((tx, i) => ({ machine, tx, cache: CACHES[i % CACHES.length] ?? "auto" })),
);

/** Two downloads of a big file, twenty kept requests, and what the machine counted meanwhile. */
async function session(flags: readonly string[]): Promise<{ stats: MachineStats; heads: number }> {
  const { port, stop } = await serve(site.root, "--memory", "16M", ...flags);
  let heads = 0;
  const take = (bytes: Buffer, bodies: readonly Buffer[]): void => {
    const found = replies(
      bytes,
      bodies.map(() => "GET"),
    );
    expect(found.map((reply, i) => reply.body.equals(bodies[i] ?? big))).toEqual(bodies.map(() => true));
    heads += bytes.length - bodies.reduce((sum, body) => sum + body.length, 0);
  };
  for (let i = 0; i < 2; i++) {
    take((await talk(port, request("GET", "/big.bin", { connection: "close" }))).bytes, [big]);
  }
  const many = Array.from({ length: 20 }, () => page);
  const text = many
    .slice(1)
    .map(() => request("GET", "/page.bin"))
    .join("");
  take((await talk(port, text + request("GET", "/page.bin", { connection: "close" }))).bytes, many);
  const ranged = await ask(port, "/big.bin", { range: "bytes=5000000-5000009" });
  expect(ranged.body.equals(big.subarray(5_000_000, 5_000_010))).toBe(true);
  return { stats: await stop(), heads };
}

test.each(EACH)("$machine, $tx, cache $cache, 16 MiB", async ({ machine, tx, cache }) => {
  const { stats, heads } = await session(["--machine", machine, "--tx", tx, "--cache", cache]);
  const driver = (...names: string[]): number => counter(stats, "vsock driver", ...names);
  const files = (name: string): number => counter(stats, "file driver", name);
  const bodies = 2 * BIG + 20 * page.length;

  // What is sent is heads and bodies, and the range's head and 10 bytes.
  const sent = driver("txPayloadBytes");
  expect(sent).toBeGreaterThan(bodies + heads);
  expect(sent).toBeLessThan(bodies + heads + 1000);
  expect(counter(stats, "vsock device", "bytesFromGuest")).toBe(sent);

  // Copies, exactly: each packet's header; and of the payload all, twice, once, or heads only.
  expect(driver("txCopied", "header")).toBe(HEADER * driver("txPackets"));
  const copied = { user: driver("txCopied", "userToPacket"), ring: driver("txCopied", "packetToRing") };
  if (tx === "two-copy") {
    expect(copied.user).toBe(sent);
    expect(copied.ring).toBe(sent);
    // The second copy takes the header of each packet that has a payload along.
    expect(driver("txCopied", "headerToRing")).toBe(HEADER * driver("txOps", "data"));
  }
  if (tx === "one-copy") expect(copied).toEqual({ user: sent, ring: 0 });
  if (tx === "zero-copy") {
    expect(copied.ring).toBe(0);
    // Heads, and the ends of pieces that are too short to be worth a loan.
    expect(copied.user).toBeGreaterThanOrEqual(heads);
    expect(copied.user).toBeLessThan(heads + bodies / 100);
    expect(driver("zeroCopySends")).toBeGreaterThan(0);
  } else {
    expect(driver("zeroCopySends")).toBe(0);
  }

  // The file's bytes move once on their way in, and not again while they are believed.
  expect(files("bytesCopied")).toBe(0);
  if (cache === "none") expect(files("bytesRead")).toBeGreaterThanOrEqual(bodies);
  else {
    expect(files("bytesRead")).toBeGreaterThanOrEqual(BIG);
    expect(files("blockHits")).toBeGreaterThan(0);
  }
  expect(files("cachedBytes")).toBeLessThanOrEqual(4 * 2 ** 20);
  expect(counter(stats, "web appliance", "requests")).toBe(23);
  expect(counter(stats, "web appliance", "latency", "count")).toBe(23);
});
