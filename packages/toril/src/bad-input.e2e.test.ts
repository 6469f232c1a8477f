// What a user types wrong, or finds occupied: one clear line on stderr, exit code 1 or 2, no stack.
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
import { Cli, type Ending, serve, toril } from "./testing/cli.ts";
import { ask } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { Site } from "./testing/site.ts";

const site = new Site();
beforeAll(() => {
  site.write("index.html", "home");
  site.write("program.ts", "export const nothing: number = 1;\n");
});
afterAll(() => site.remove());

/** The same without a process: what is refused before anything is booted needs none. */
async function inProcess(args: readonly string[]): Promise<Ending> {
  const said: Record<"stdout" | "stderr", string[]> = { stdout: [], stderr: [] };
  const code = await runCli(args, {
    stdout: (text) => void said.stdout.push(text),
    stderr: (text) => void said.stderr.push(text),
  });
  return { code, signal: null, stdout: said.stdout.join(""), stderr: said.stderr.join("") };
}

async function refused(args: readonly string[], code: number, line: RegExp, start = toril): Promise<void> {
  const ending = await start(args);
  expect(ending).toMatchObject({ code, signal: null, stdout: "" });
  expect(ending.stderr).toMatch(line);
  expect(ending.stderr.split("\n")).toHaveLength(2);
}

describe.each(MACHINES)("%s machine", (machine) => {
  const with_ = ["--machine", machine, "--port", "0"];

  test.each([
    ["no such directory", "nothing", /^toril: cannot serve ".*nothing": there is no such directory\n$/],
    ["a file", "index.html", /^toril: cannot serve ".*index.html": it is not a directory\n$/],
  ])("%s", async (_, name, line) => {
    await refused(["serve", join(site.root, name), ...with_], 1, line);
  });

  test("a port in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const line = new RegExp(`^toril: cannot listen on 127\\.0\\.0\\.1:${port}: somebody else listens there: .*\\n$`);
    await refused(["serve", site.root, "--machine", machine, "--port", String(port)], 1, line);
    await new Promise((resolve) => other.close(resolve));
  });

  test("an address that is not ours", async () => {
    await refused(
      ["serve", site.root, ...with_, "--host", "192.0.2.1"],
      1,
      /^toril: cannot listen on 192\.0\.2\.1:0: /,
    );
  });

  test("a recording where there is no directory", async () => {
    const path = join(site.root, "nowhere", "a.pcap");
    const options = ["serve", site.root, "--port", "0", "--machine", machine];
    await refused([...options, "--capture", path], 1, /^toril: cannot record into .*a\.pcap: ENOENT/);
  });

  test("a module without main", async () => {
    await refused(
      ["run", join(site.root, "program.ts"), "--quiet", "--machine", machine],
      1,
      /^toril: .*program\.ts exports no function main\(sys\)/,
    );
  });
});

test.each<[string[], RegExp]>([
  [["--port", "65536"], /--port.*"65536" is not a port/],
  [["--port", "http"], /--port.*"http" is not a port/],
  [["--port"], /--port.*argument missing/],
  [["--host", ""], /--host.*empty/],
  [["--machine", "metal"], /--machine.*Allowed choices are inline, dedicated/],
  [["--tx", "fast"], /--tx.*two-copy, one-copy, zero-copy/],
  [["--cache", "some"], /--cache.*none, auto, always/],
  [["--memory", "much"], /--memory.*is not a size/],
  [["--memory", "1M"], /1048576 bytes of guest memory/],
  [["--memory", "5G"], /5368709120 bytes of guest memory/],
  [["--max-connections", "0"], /--max-connections/],
  [["--frob"], /unknown option '--frob'/],
  [["second-dir"], /too many arguments/],
])("serve %j is wrong usage", async (flags, line) => {
  await refused(["serve", site.root, ...flags], 2, line, inProcess);
});

test.each<[string[], number, RegExp]>([
  [["frob"], 2, /unknown command 'frob'/],
  [["run"], 2, /missing required argument 'appliance'/],
  [["run", "nothing.ts"], 1, /no program at nothing\.ts/],
  [["run", "."], 1, /is a directory/],
  [["run", "x.ts", "--cores", "0"], 2, /--cores/],
  [["run", "x.ts", "--cores", "2"], 2, /--machine dedicated/],
  [["run", "x.ts", "--forward", "80"], 2, /is no forward/],
  [["run", "x.ts", "--cid", "2"], 2, /is not a guest CID/],
])("%j", async (args, code, line) => {
  await refused(args, code, line, inProcess);
});

test("wrong usage ends the process with 2", () => refused(["serve", "--port", "http"], 2, /is not a port/));

test("--help and --version say it on stdout; no command at all gets the help", async () => {
  expect(await toril(["--version"])).toMatchObject({ code: 0, stdout: "0.1.0\n", stderr: "" });
  for (const args of [["--help"], [], ["help"]]) {
    const { code, stdout, stderr } = await inProcess(args);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: toril .*serve .*run /s);
  }
  for (const command of ["serve", "run"]) {
    const { code, stdout } = await inProcess([command, "--help"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^Usage: toril ${command} .*--machine`, "s"))]);
  }
});

describe("pipes and signals", () => {
  test("--json without --stats: one document at once, and nothing more", async () => {
    const cli = new Cli(["serve", site.root, "--port", "0", "--json"]);
    await cli.printed("stdout", /\n/);
    expect(JSON.parse(cli.stdout)).toMatchObject({ url: expect.stringMatching(/^http:\/\/127/), machine: "inline" });
    const line = cli.stdout;
    expect(await cli.signal("SIGTERM")).toMatchObject({ code: 0, stdout: line });
  });

  test("a reader that goes away ends nothing: it is served on, and exit code 0", async () => {
    const cli = new Cli(["serve", site.root, "--port", "0", "--access-log"]);
    const [, port] = await cli.printed("stdout", /127\.0\.0\.1:(\d+)/);
    cli.process.stdout?.destroy();
    cli.process.stderr?.destroy();
    for (let i = 0; i < 5; i++) expect((await ask(Number(port), "/")).status).toBe(200);
    expect(await cli.signal("SIGINT")).toMatchObject({ code: 0, signal: null });
  });

  test("counters into a closed pipe: exit code 0, no stack", async () => {
    const { cli } = await serve(site.root);
    cli.process.stdout?.destroy();
    const { code, stderr } = await cli.signal("SIGINT");
    expect([code, stderr]).toEqual([0, expect.not.stringMatching(/EPIPE|^\s+at /m)]);
  });

  test.each(MACHINES)("%s: a signal while it boots stops it in order", async (machine) => {
    const cli = new Cli(["serve", site.root, "--port", "0", "--machine", machine, "--verbose"]);
    await cli.printed("stderr", /machine:/);
    expect(await cli.signal("SIGTERM")).toMatchObject({ code: 0, signal: null });
  });
});
