// `toril run`: anyone's program, from a directory that knows nothing of this repository.
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { Cli, type Ending, toril } from "./testing/cli.ts";
import { talk } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { noise, Site } from "./testing/site.ts";

const site = new Site();
afterAll(() => site.remove());
const app = (name: string): string => fileURLToPath(new URL(`../../../apps/${name}/src/index.ts`, import.meta.url));

/** A program in a file of its own, outside the repository: no package.json, no node_modules. */
function program(name: string, text: string): string {
  const path = join(site.path, name);
  writeFileSync(path, text);
  return path;
}

/** The message of each line of the log. */
function told({ stderr }: Ending): string[] {
  return stderr.split("\n").flatMap((line) => /^[\d:.]+ info +(.*)$/.exec(line)?.[1] ?? []);
}

describe.each(MACHINES)("%s machine", (machine) => {
  const run = (path: string, ...flags: string[]): Promise<Ending> =>
    toril(["run", path, "--machine", machine, ...flags]);

  test("TypeScript that imports types only; arguments, files and the boot log", async () => {
    site.write("a.txt", "a");
    const path = program(
      "types.ts",
      `import type { Sys } from "@toril/machine";
       interface Found { readonly names: string[] }
       export async function main(sys: Sys): Promise<void> {
         const found: Found = { names: (await sys.fs.readdir("/")).map((entry) => entry.name) };
         sys.log.info(\`\${JSON.stringify(sys.args)} \${found.names.join()}\`);
       }`,
    );
    const ending = await run(path, "--dir", site.root, "one", "--", "--two");
    expect([ending.code, ending.stdout]).toEqual([0, ""]);
    const lines = told(ending);
    expect(lines).toContain('["one","--two"] a.txt');
    expect(lines.join("\n")).toMatch(/machine.*core 0: 64 MiB.*CID 3.*read-only/s);
  });

  test("JavaScript", async () => {
    const path = program("plain.mjs", `export async function main(sys) { sys.log.info("plain"); }`);
    expect(told(await run(path))).toContain("plain");
  });

  test("the number that main returns is the exit code; what is none is told", async () => {
    const path = program(
      "code.ts",
      "export const main = async (sys: any): Promise<unknown> => JSON.parse(sys.args[0]);",
    );
    expect(await run(path, "--quiet", "7")).toMatchObject({ code: 7, stderr: "" });
    expect(await run(path, "--quiet", "255")).toMatchObject({ code: 255, stderr: "" });
    for (const value of ["256", "1.5", '"x"']) {
      const { code, stderr } = await run(path, "--quiet", value);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^toril: (?:TypeError: )?main returned .*: return nothing, or an exit code/),
      ]);
    }
  });

  test.each([
    [
      "main",
      "export async function main(): Promise<void> {\n  throw new TypeError('broke');\n}",
      /TypeError: broke\n +at main .*throws-main\.ts:2/,
    ],
    ["module", "throw new Error('early');\nexport {};", /Error: early\n +at .*throws-module\.ts:1/],
  ])("what %s throws is told with its stack: exit code 1", async (what, text, message) => {
    const { code, stderr } = await run(program(`throws-${what}.ts`, text), "--quiet");
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  });

  test("a syntax error names the file and the line", async () => {
    const { code, stderr } = await run(program("syntax.ts", "export async function main( {\n"), "--quiet");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^toril: .*\n.*syntax\.ts:2:\d+: .*\n$/)]);
  });

  test("an import that leads nowhere names both files", async () => {
    const text = 'import "./nowhere.ts";\nexport async function main() {}\n';
    const { code, stderr } = await run(program("imports.ts", text), "--quiet");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^toril: .*nowhere\.ts.*imports\.ts\n$/)]);
  });

  test("one thread's exception is told, and ends nothing else", async () => {
    const path = program(
      "threads.ts",
      `export async function main(sys: any): Promise<void> {
         const thread = sys.threads.spawn(async () => { throw new Error("one of many"); }, { name: "bad" });
         const exit = await sys.threads.join(thread);
         sys.log.info(\`joined: \${exit.kind} \${exit.error.message}\`);
       }`,
    );
    const ending = await run(path);
    expect(ending.code).toBe(0);
    expect(told(ending)).toContain("joined: failed one of many");
    expect(ending.stderr).toMatch(/error a thread failed .*thread=bad/);
  });

  test("apps/hello", async () => {
    const ending = await run(app("hello"), "--dir", site.root);
    expect(ending.code).toBe(0);
    expect(
      told(ending)
        .slice(-6)
        .map((line) => line.replace(/ (heap|first)=.*/, "")),
    ).toEqual([
      "hello from core 0",
      "tick 1",
      "tick 2",
      "tick 3",
      "a thread returned three ticks",
      expect.stringMatching(/^the root directory has \d+ names$/),
    ]);
  });

  test("apps/echo-server behind a forward: every byte comes back, and SIGINT ends it", async () => {
    const cli = new Cli(["run", app("echo-server"), "--machine", machine, "--forward", "0:7"]);
    const [, port] = await cli.printed("stderr", /forwarding 127\.0\.0\.1:(\d+)/);
    await cli.printed("stderr", /echoing/);
    const bytes = noise(3_000_000);
    const talks = [bytes, Buffer.from("short"), noise(70_000, 9)].map(async (sent) => {
      const { bytes: back, end } = await talk(Number(port), sent, { halfClose: true });
      expect([back.equals(sent), end]).toEqual([true, "closed"]);
    });
    await Promise.all(talks);
    const { code, stderr } = await cli.signal("SIGINT");
    expect([code, stderr]).toEqual([0, expect.not.stringMatching(/error|warn/)]);
  });

  test("the ports are open at once, also for a program that never says that it is ready", async () => {
    const path = program(
      "silent-server.ts",
      `export async function main(sys: any): Promise<void> {
         const server = sys.net.socket();
         sys.net.bind(server, 9);
         sys.net.listen(server);
         sys.log.info("listens");
         const peer = await sys.net.accept(server);
         await sys.net.send(peer, new Uint8Array([104, 105, 10]));
         sys.net.close(peer);
       }`,
    );
    const cli = new Cli(["run", path, "--machine", machine, "--forward", "0:9"]);
    const [, port] = await cli.printed("stderr", /forwarding 127\.0\.0\.1:(\d+)/);
    await cli.printed("stderr", /listens/);
    const { bytes } = await talk(Number(port), "", { halfClose: true });
    expect(bytes.toString()).toBe("hi\n");
    expect((await cli.ended).code).toBe(0);
  });

  test("a program that does not stop: the second signal ends it at once, with 130", async () => {
    const path = program(
      "stubborn.ts",
      `export async function main(sys: any): Promise<void> {
         sys.log.info("begun");
         for (;;) await sys.threads.sleep(10);
       }`,
    );
    const cli = new Cli(["run", path, "--machine", machine]);
    await cli.printed("stderr", /begun/);
    cli.process.kill("SIGINT");
    await cli.printed("stderr", /SIGINT: stopping; once more/);
    expect(await cli.signal("SIGTERM")).toMatchObject({ code: 130, signal: null });
  });

  test("the same signal again at once is an echo of the first: a terminal signals the whole group, and npm hands it on", async () => {
    const path = program(
      "leaves.ts",
      `export async function main(sys: any): Promise<void> {
         sys.log.info("begun");
         while (!sys.stopping.aborted) await sys.threads.sleep(10);
         await sys.threads.sleep(300);
       }`,
    );
    const cli = new Cli(["run", path, "--machine", machine]);
    await cli.printed("stderr", /begun/);
    cli.process.kill("SIGINT");
    await cli.printed("stderr", /SIGINT: stopping/);
    expect(await cli.signal("SIGINT")).toMatchObject({ code: 0, signal: null });
  });

  test("--stats has what the program reports; --json puts it on stdout as one document", async () => {
    const path = program(
      "reports.ts",
      `export async function main(sys: any): Promise<void> { sys.report("mine", () => ({ answers: 42 })); }`,
    );
    const table = await run(path, "--quiet", "--stats");
    expect([table.stdout, table.stderr]).toEqual(["", expect.stringMatching(/\nmine\n {2}answers {2}42\n/)]);
    const { stdout, stderr } = await run(path, "--quiet", "--stats", "--json");
    expect([JSON.parse(stdout).stats.parts.mine, stderr]).toEqual([{ answers: 42 }, ""]);
  });
});

test("two cores: threads on the other core, messages over the bus, and what dies there is told", async () => {
  const path = program(
    "cores.ts",
    `export async function worker(sys: any, args: any): Promise<number> {
       const from = sys.threads.core;
       sys.log.info(\`worker on core \${from}\`);
       const { bytes } = await sys.bus.receive();
       await sys.bus.send(0, bytes.map((byte: number) => byte + 1));
       return from * 10;
     }
     export async function fails(): Promise<void> { throw new Error("far away"); }
     export async function main(sys: any): Promise<number> {
       const there = await sys.threads.spawnOn(1, { module: import.meta.url, export: "worker" });
       await sys.bus.send(1, new Uint8Array([1, 2, 3]));
       const answer = await sys.bus.receive();
       sys.log.info(\`core \${answer.from} says \${answer.bytes.join()}\`);
       const exit = await sys.threads.join(there);
       sys.log.info(\`worker \${exit.kind} \${exit.value}\`);
       const bad = await sys.threads.join(await sys.threads.spawnOn(1, { module: import.meta.url, export: "fails" }));
       sys.log.info(\`other \${bad.kind} \${bad.error.message}\`);
       return 3;
     }`,
  );
  const ending = await toril(["run", path, "--cores", "2", "--machine", "dedicated"]);
  expect([ending.code, ending.stderr]).toEqual([3, expect.any(String)]);
  expect(told(ending)).toEqual(
    expect.arrayContaining([
      "worker on core 1",
      "core 1 says 2,3,4",
      "worker returned 10",
      expect.stringMatching(/^other failed far away/),
    ]),
  );
});

test("a forward to a port where nobody listens resets the client, and the program lives", async () => {
  const cli = new Cli(["run", app("echo-server"), "--forward", "0:7", "--forward", "0:8"]);
  const [, echo, nobody] = await cli.printed(
    "stderr",
    /:(\d+) to the guest's port 7\n.*:(\d+) to the guest's port 8\n/,
  );
  await cli.printed("stderr", /echoing/);
  expect((await talk(Number(nobody), "anyone?")).end).toBe("reset");
  expect((await talk(Number(echo), "yes", { halfClose: true })).bytes.toString()).toBe("yes");
  const open = connect(Number(echo), "127.0.0.1");
  await new Promise((resolve) => open.once("connect", resolve));
  const closed = new Promise((resolve) => open.once("close", resolve).on("error", () => {}));
  expect((await cli.signal("SIGINT")).code).toBe(0);
  await closed;
});
