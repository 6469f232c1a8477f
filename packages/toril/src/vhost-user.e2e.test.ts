// Devices in other people's processes: a directory served over real daemons, byte for byte, also when one of them is killed.
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import {
  type Daemon,
  type DaemonName,
  findDaemons,
  startVhostDeviceVsock,
  startVirtiofsd,
  type VirtiofsdVersion,
  virtiofsdVersion,
} from "@toril/vhost-user";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { runCli } from "./cli.ts";
import { Cli, counter, serve, toril } from "./testing/cli.ts";
import { ask, replies, request, talk } from "./testing/client.ts";
import { noise, Site } from "./testing/site.ts";

const site = new Site();
const page = noise(133_000, 3);
const big = noise(5_000_000, 4);
const small = Array.from({ length: 100 }, (_, i) => noise(1 + i * 40, 100 + i));
beforeAll(() => {
  site.write("index.html", "home");
  site.write("page.bin", page);
  site.write("big.bin", big);
  small.forEach((bytes, i) => void site.write(`many/${i}`, bytes));
  site.write(
    "size.ts",
    `export async function main(sys) {
      sys.log.info("size " + (await sys.fs.stat("/page.bin")).size);
      await sys.fs.mkdir("/new").catch((error) => sys.log.info("mkdir " + error.code));
    }`,
  );
});
afterAll(() => site.remove());

const NONE = "/nonexistent";
const kinds: readonly VirtiofsdVersion["kind"][] = ["c", "rust"];

/** The first of its kind that is installed. */
const virtiofsd = (kind: VirtiofsdVersion["kind"]): string | undefined =>
  findDaemons("virtiofsd").find((command) => virtiofsdVersion(command).kind === kind);

/** Skips without the peer; fails instead under TORIL_REQUIRE_PEERS=1. */
function need(context: TestContext, what: string, found: unknown): void {
  const reason =
    process.getuid?.() !== 0
      ? "virtiofsd sandboxes itself, which takes root"
      : found === undefined && `no ${what}: see tooling/peers/install`;
  if (reason === false) return;
  if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error(`TORIL_REQUIRE_PEERS=1, but ${reason}`);
  context.skip(reason);
}

const needDaemon = (context: TestContext, name: DaemonName): void => need(context, name, findDaemons(name)[0]);

async function everythingIsServed(port: number): Promise<void> {
  expect((await ask(port, "/")).body.toString()).toBe("home");
  expect((await ask(port, "/page.bin")).body.equals(page)).toBe(true);
  expect((await ask(port, "/big.bin")).body.equals(big)).toBe(true);
  const part = await ask(port, "/big.bin", { range: "bytes=4000000-4000099" });
  expect([part.status, part.body.equals(big.subarray(4_000_000, 4_000_100))]).toEqual([206, true]);
  expect((await ask(port, "/missing")).status).toBe(404);
  expect((await ask(port, "/many/")).body.toString()).toContain("99");
  // One connection for all of them, one after the other and one behind the other.
  const asked = small.map((_, i) => request("GET", `/many/${i}`, i === 99 ? { connection: "close" } : {}));
  const { bytes, end } = await talk(port, asked.join(""));
  expect(end).toBe("closed");
  const got = replies(
    bytes,
    small.map(() => "GET"),
  );
  expect(got.every(({ body }, i) => body.equals(small[i] as Buffer))).toBe(true);
  // A client that ends its direction behind its request is answered all the same.
  const half = await talk(port, request("GET", "/page.bin", { connection: "close" }), { halfClose: true });
  expect(replies(half.bytes, ["GET"])[0]?.body.equals(page)).toBe(true);
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

interface Spawned {
  readonly port: number;
  readonly cli: Cli;
  /** What `toril` says of who serves what. */
  readonly line: string;
}

async function spawned(env: NodeJS.ProcessEnv, ...flags: string[]): Promise<Spawned> {
  const cli = new Cli(["serve", site.root, "--machine", "vhost-user", "--spawn", "--port", "0", ...flags], {
    env: { ...process.env, ...env },
  });
  const [, port] = await cli.printed("stdout", /127\.0\.0\.1:(\d+)/);
  const [line] = await cli.printed("stderr", /^toril: vhost-user machine: .*$/m);
  return { port: Number(port), cli, line };
}

describe.each(kinds)("virtiofsd (%s)", (kind) => {
  const command = virtiofsd(kind);

  test.for(["our own", "vhost-device-vsock"])("serve DIR --spawn, vsock: %s", async (vsock, context) => {
    need(context, `virtiofsd (${kind})`, command);
    if (vsock !== "our own") needDaemon(context, "vhost-device-vsock");
    const env = vsock === "our own" ? { TORIL_VHOST_DEVICE_VSOCK: NONE } : {};
    const { port, cli, line } = await spawned({ TORIL_VIRTIOFSD: command, ...env });
    expect(line).toMatch(/files: virtiofsd \d.* \(pid \d+\) serves /);
    expect(line).toContain(`vsock: ${vsock}`);
    await everythingIsServed(port);
    const { code, stderr } = await cli.signal("SIGINT");
    expect([code, stderr]).toEqual([0, expect.not.stringMatching(/error|^\s+at /m)]);
    for (const [, pid] of line.matchAll(/pid (\d+)/g)) expect(isGone(Number(pid))).toBe(true);
  });

  test("killed under load: 5xx or cut off, never wrong bytes; then another one serves", async (context) => {
    need(context, `virtiofsd (${kind})`, command);
    const { port, cli, line } = await spawned({ TORIL_VIRTIOFSD: command }, "--cache", "none");
    const seen = new Set<number | "cut off">();
    let good = 0;
    let stop = false;
    const client = async (): Promise<void> => {
      while (!stop) {
        const reply = await ask(port, "/page.bin").catch(() => undefined);
        seen.add(reply?.status ?? "cut off");
        if (reply?.status !== 200) continue;
        expect(reply.body.equals(page)).toBe(true);
        good++;
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    const until = async (what: () => boolean): Promise<void> => {
      while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until(() => good > 20);
    process.kill(Number(/virtiofsd .*?\(pid (\d+)\)/.exec(line)?.[1]), "SIGKILL");
    // Whether a client meets the moment is chance: on a busy machine none may.
    await cli.printed("stderr", /a daemon ended/);
    const before = good;
    await until(() => good > before + 20);
    stop = true;
    await clients;
    for (const status of seen) expect([200, 500, "cut off"]).toContain(status);
    await everythingIsServed(port);
    expect((await cli.signal("SIGINT")).code).toBe(0);
  });
});

test("vhost-device-vsock killed under load: cut off, never wrong bytes; then another one serves", async (context) => {
  needDaemon(context, "virtiofsd");
  needDaemon(context, "vhost-device-vsock");
  const { port, cli, line } = await spawned({});
  let good = 0;
  let stop = false;
  const client = async (): Promise<void> => {
    while (!stop) {
      const reply = await ask(port, "/page.bin").catch(() => undefined);
      if (reply === undefined) continue; // cut off
      expect([reply.status, reply.body.equals(page)]).toEqual([200, true]);
      good++;
    }
  };
  const clients = Promise.all(Array.from({ length: 8 }, client));
  const until = async (what: () => boolean): Promise<void> => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await until(() => good > 20);
  process.kill(Number(/vhost-device-vsock .*?\(pid (\d+)\)/.exec(line)?.[1]), "SIGKILL");
  await cli.printed("stderr", /a daemon ended/);
  const before = good;
  await until(() => good > before + 20);
  stop = true;
  await clients;
  await everythingIsServed(port);
  expect((await cli.signal("SIGINT")).code).toBe(0);
});

describe("daemons that somebody else has started", () => {
  const daemons: Daemon[] = [];
  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
  });

  test("serve --fs --vsock --uds: no directory of ours", async (context) => {
    needDaemon(context, "virtiofsd");
    needDaemon(context, "vhost-device-vsock");
    const files = await startVirtiofsd({ directory: site.root });
    const vsock = await startVhostDeviceVsock({ guestCid: 55 });
    daemons.push(files, vsock);
    const sockets = ["--fs", files.socketPath, "--vsock", vsock.socketPath, "--uds", vsock.hostSocketPath];
    const cli = new Cli(["serve", "--machine", "vhost-user", ...sockets, "--port", "0"]);
    const [, port] = await cli.printed("stdout", /127\.0\.0\.1:(\d+)/);
    await everythingIsServed(Number(port));
    expect((await cli.signal("SIGTERM")).code).toBe(0);
  });

  test("serve DIR --vsock: our own file device beside it", async (context) => {
    needDaemon(context, "vhost-device-vsock");
    const vsock = await startVhostDeviceVsock({ guestCid: 56 });
    daemons.push(vsock);
    const flags = ["--machine", "vhost-user", "--vsock", vsock.socketPath, "--uds", vsock.hostSocketPath];
    const { port, stop } = await serve(site.root, ...flags);
    await everythingIsServed(port);
    expect(counter(await stop(), "file device", "requests")).toBeGreaterThan(0);
  });
});

test("serve --fs: a real virtiofsd, and our own vsock device beside it", async (context) => {
  needDaemon(context, "virtiofsd");
  const files = await startVirtiofsd({ directory: site.root });
  const cli = new Cli(["serve", "--machine", "vhost-user", "--fs", files.socketPath, "--port", "0"]);
  const [, port] = await cli.printed("stdout", /127\.0\.0\.1:(\d+)/);
  expect((await cli.printed("stderr", /^toril: vhost-user machine: .*$/m))[0]).toContain("vsock: our own device");
  await everythingIsServed(Number(port));
  expect((await cli.signal("SIGINT")).code).toBe(0);
  await files.stop();
});

describe("run, with one device real and the other our own", () => {
  const program = (): string => join(site.root, "size.ts");

  test("--fs: the files of a real virtiofsd", async (context) => {
    needDaemon(context, "virtiofsd");
    const files = await startVirtiofsd({ directory: site.root, access: "read-only" });
    const { code, stderr } = await toril(["run", program(), "--machine", "vhost-user", "--fs", files.socketPath]);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/vsock: our own device[\s\S]*size 133000/)]);
    await files.stop();
    rmSync(join(site.root, "new"), { recursive: true, force: true }); // the C virtiofsd cannot refuse changes
  });

  test("--vsock --uds --forward: the network of a real vhost-device-vsock, our own files", async (context) => {
    needDaemon(context, "vhost-device-vsock");
    const vsock = await startVhostDeviceVsock({ guestCid: 57 });
    site.write(
      "greet.ts",
      `export async function main(sys) {
        const server = sys.net.socket();
        sys.net.bind(server, 9);
        sys.net.listen(server);
        const { size } = await sys.fs.stat("/page.bin");
        sys.log.info("listening");
        const peer = await sys.net.accept(server);
        await sys.net.send(peer, new TextEncoder().encode("size " + size));
        await sys.net.recv(peer, new Uint8Array(1));
        sys.net.close(peer);
      }`,
    );
    const sockets = ["--vsock", vsock.socketPath, "--uds", vsock.hostSocketPath];
    const cli = new Cli([
      ...["run", join(site.root, "greet.ts"), "--machine", "vhost-user", ...sockets],
      ...["--dir", site.root, "--forward", "0:9"],
    ]);
    const [, port] = await cli.printed("stderr", /forwarding 127\.0\.0\.1:(\d+)/);
    await cli.printed("stderr", /listening/);
    const socket = connect(Number(port), "127.0.0.1");
    const [bytes] = (await once(socket, "data")) as [Buffer];
    expect(bytes.toString()).toBe("size 133000");
    socket.end("x");
    expect((await cli.ended).code).toBe(0);
    await vsock.stop();
  });
});

describe("without FFI the vhost-user machine says so in one line, and nothing else breaks", () => {
  const preload = (code: string): NodeJS.ProcessEnv => {
    const url = `data:text/javascript,${encodeURIComponent(code)}`;
    return { ...process.env, NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import=${url}` };
  };
  const noKoffi = preload(`
    import Module from "node:module";
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...rest) => {
      if (!/^koffi/.test(name)) return resolve(name, ...rest);
      throw Object.assign(new Error("Cannot find module 'koffi'\\nRequire stack: none"), { code: "MODULE_NOT_FOUND" });
    };`);
  const notLinux = preload(`Object.defineProperty(process, "platform", { value: "darwin" });`);

  test.each([
    ["koffi is not installed", noKoffi, /cannot run here: koffi is not installed/],
    ["it is not Linux", notLinux, /cannot run here: vhost-user needs 64-bit Linux: this is darwin/],
  ])("%s", async (_, env, line) => {
    const flags = ["--machine", "vhost-user", "--spawn", "--port", "0"];
    const { code, stderr } = await toril(["serve", site.root, ...flags], { env });
    expect([code, stderr]).toEqual([1, expect.stringMatching(line)]);
    expect(stderr.split("\n")).toHaveLength(2);
  });

  test.each(["inline", "dedicated"])("koffi is not installed: the %s machine serves", async (machine) => {
    const cli = new Cli(["serve", site.root, "--machine", machine, "--port", "0"], { env: noKoffi });
    const [, port] = await cli.printed("stdout", /127\.0\.0\.1:(\d+)/);
    await everythingIsServed(Number(port));
    expect((await cli.signal("SIGINT")).code).toBe(0);
  });
});

test("run --spawn --dir: the program sees the directory, read-only", async (context) => {
  needDaemon(context, "virtiofsd");
  const program = join(site.root, "size.ts");
  const { code, stderr } = await toril(["run", program, "--machine", "vhost-user", "--spawn", "--dir", site.root]);
  expect([code, stderr]).toEqual([0, expect.stringMatching(/size 133000[\s\S]*mkdir EROFS/)]);
});

describe("wrong usage is one clear line", () => {
  const machine = ["--machine", "vhost-user"];
  test.each<[string[], RegExp]>([
    [["serve", "--fs", "s"], /--fs is for the vhost-user machine: add --machine vhost-user/],
    [["serve", "--spawn"], /--spawn is for the vhost-user machine/],
    [["serve", ...machine], /needs its devices: --fs SOCK, --vsock SOCK with --uds PATH, or --spawn/],
    [["serve", ...machine, "--spawn", "--vsock", "s"], /--spawn starts the daemons itself: leave it or --vsock out/],
    [["serve", ...machine, "--vsock", "s"], /--vsock needs --uds PATH/],
    [["serve", ...machine, "--uds", "s"], /--uds belongs to --vsock/],
    [["serve", ".", ...machine, "--fs", "s"], /files come from DIR or from --fs, not from both/],
    [["run", "x.ts", ...machine, "--fs", "s", "--dir", "."], /files come from --dir or from --fs/],
    [["run", "x.ts", ...machine, "--spawn", "--cores", "2"], /the vhost-user machine has one core, not 2/],
    [["run", "x.ts", ...machine, "--vsock", "s", "--uds", "u", "--cid", "5"], /leave --cid out/],
  ])("%j", async (args, line) => {
    const said: string[] = [];
    const code = await runCli(args, { stdout: (text) => void said.push(text), stderr: (text) => void said.push(text) });
    expect([code, said.join("")]).toEqual([2, expect.stringMatching(line)]);
    expect(said.join("").split("\n")).toHaveLength(2);
  });
});

test.each<[string, string[], RegExp]>([
  ["no virtiofsd", ["serve", ".", "--spawn"], /virtiofsd is not installed: Debian has it in qemu-system-common.*cargo/],
  ["nobody at the socket", ["serve", "--fs", "/nonexistent"], /nobody serves \/nonexistent: .*ENOENT/],
  ["no directory", ["serve", "/nonexistent", "--spawn"], /cannot serve "\/nonexistent": there is no such directory/],
])("%s: one clear line, exit code 1", async (_, args, line) => {
  const { code, stderr } = await toril([...args, "--machine", "vhost-user", "--port", "0"], {
    env: { ...process.env, TORIL_VIRTIOFSD: NONE },
  });
  expect([code, stderr]).toEqual([1, expect.stringMatching(line)]);
  expect(stderr.split("\n")).toHaveLength(2);
});
