/** pnpm soak [--minutes 10] [--machines inline,dedicated,vhost-user] [--json]: mixed load, and nothing may grow. */
import { parseArgs } from "node:util";
import { findDaemons } from "@toril/vhost-user";
import { RULES } from "./measure.ts";
import { type Outcome, soak } from "./soaked.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    machines: { type: "string", default: "inline,dedicated,vhost-user" },
    json: { type: "boolean", default: false },
  },
});

const minutes = Number(values.minutes);
const wanted = values.machines.split(",");
const unknown = wanted.find((name) => !["inline", "dedicated", "vhost-user"].includes(name));
if (!(minutes > 0) || unknown !== undefined) {
  console.error(unknown === undefined ? `soak: ${values.minutes} minutes` : `soak: no machine is called ${unknown}`);
  process.exit(2);
}

const daemons = (["virtiofsd", "vhost-device-vsock"] as const).every((name) => findDaemons(name).length > 0);
const machines = wanted.filter((name) => name !== "vhost-user" || daemons);
const absent =
  machines.length === wanted.length ? [] : ["vhost-user: its daemons are not installed (tooling/peers/install)"];
if (absent.length > 0 && process.env["TORIL_REQUIRE_PEERS"] === "1") {
  console.error(`soak: ${absent[0]}, and TORIL_REQUIRE_PEERS is set`);
  process.exit(1);
}

// Twenty rests or so, a longer load for a longer soak.
const loadMs = Math.min(20_000, Math.max(2_000, (minutes * 60_000) / 25));
const until = Date.now() + minutes * 60_000;
const rests: Record<string, number> = {};
const display = setInterval(() => {
  if (!process.stderr.isTTY) return;
  const left = Math.max(0, Math.round((until - Date.now()) / 1_000));
  const told = Object.entries(rests).map(([name, count]) => `${name} ${count} rests`);
  process.stderr.write(`\r${left} s left · ${told.join(" · ")}  `);
}, 1_000);

// Side by side: on two processors each gets its share, and is interrupted by the others.
const outcomes = await Promise.all(
  machines.map((machine) =>
    soak(machine, until, loadMs, (count) => {
      rests[machine] = count;
    }),
  ),
);
clearInterval(display);
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");

const wrong = outcomes.flatMap(complaints);
if (values.json) console.log(JSON.stringify({ minutes, outcomes, absent, wrong }));
else tell(outcomes);
if (wrong.length > 0) process.exitCode = 1;

function complaints({ machine, faults, figures }: Outcome): string[] {
  const grown = Object.entries(figures).filter(([, { grows }]) => grows);
  return [
    ...grown.map(
      ([name, { first, last }]) => `${machine}: ${name} grows from ${show(name, first)} to ${show(name, last)}`,
    ),
    ...faults.map((fault) => `${machine}: ${fault}`),
  ];
}

function tell(all: readonly Outcome[]): void {
  for (const { machine, deeds, slowest, rests: count, figures } of all) {
    const sum = Object.values(deeds).reduce((a, b) => a + b, 0);
    console.log(`\n${machine}: ${sum} deeds, ${count} rests`);
    console.log(
      `  ${Object.entries(deeds)
        .sort()
        .map(([name, times]) => `${name} ${times} (≤ ${slowest[name]} ms)`)
        .join(" · ")}`,
    );
    const rows = Object.entries(figures).map(([name, { first, last, rise, grows }]) => [
      name,
      show(name, first),
      show(name, last),
      RULES[name]?.kind === "exact" ? "" : show(name, rise),
      grows ? "GROWS" : "ok",
    ]);
    for (const row of [["", "first third", "last third", "trend", ""], ...rows]) {
      const [name = "", ...cells] = row;
      console.log(`  ${name.padEnd(22)}${cells.map((cell) => cell.padStart(13)).join("")}`);
    }
  }
  for (const text of [...absent, ...wrong]) console.log(text);
  console.log(wrong.length === 0 ? `\n${minutes} minutes: nothing grows, no fault` : `\n${wrong.length} complaints`);
}

function show(name: string, value: number): string {
  if (!/bytes|heap|buffers|memory/.test(name)) return String(Math.round(value * 10) / 10);
  return `${(value / 2 ** 20).toFixed(2)} MiB`;
}
