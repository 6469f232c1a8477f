/** Programs that the tests boot, as modules' exports: threads get at them by name only. */
import type { Sys } from "../src/sys.ts";

const ECHO_PORT = 7;

/** Says what it was given. */
export async function returnsArgs(sys: Sys): Promise<number> {
  const { code, at } = sys.args as { code: number; at: Date };
  return at instanceof Date ? code : -1;
}

export async function main(sys: Sys): Promise<void> {
  sys.log.info("main ran");
}

export async function fails(): Promise<void> {
  const error = new RangeError("this program has a bug");
  throw Object.assign(error, { code: "E_BUG" });
}

export async function returnsFunction(): Promise<unknown> {
  return () => {};
}

/** Ready, then waits for the stop, and tells that it tidied up. */
export async function waitsForStop(sys: Sys): Promise<number> {
  sys.ready();
  await new Promise<void>((resolve) => sys.stopping.addEventListener("abort", () => resolve()));
  sys.log.info("tidied up");
  return 5;
}

/** Its system calls end with the cancel, and it runs its `finally`. */
export async function sleepsForEver(sys: Sys): Promise<void> {
  sys.ready();
  try {
    await sys.threads.sleep(1e9);
  } finally {
    sys.log.info("finally ran");
  }
}

/** Waits for what nobody cancels. */
export async function ignoresStop(sys: Sys): Promise<void> {
  sys.ready();
  await new Promise(() => {});
}

/** Never gives the core back. */
export async function neverYields(sys: Sys): Promise<void> {
  sys.ready();
  // `ready` is a message of this thread: it leaves at once.
  for (;;) {}
}

/** Leaves a timer of Node's behind, which would keep any thread. */
export async function leavesTimer(sys: Sys): Promise<void> {
  setInterval(() => {}, 1_000);
  sys.ready();
  await sys.threads.sleep(1e9);
}

export async function exits(sys: Sys): Promise<void> {
  sys.ready();
  process.exit(9);
}

/** An exclusive core lets Node's timers run only now and then: while it is busy, for one. */
export async function throwsLater(sys: Sys): Promise<void> {
  sys.ready();
  setTimeout(() => {
    throw new Error("thrown in a timer");
  }, 1);
  for (;;) await sys.threads.yield();
}

export async function needsMuchMemory(sys: Sys): Promise<void> {
  sys.ready();
  const kept: object[] = [];
  for (let i = 0; ; i++) {
    kept.push({ i, more: [i, i + 1, i + 2] });
    if (i % 100_000 === 0) await sys.threads.yield();
  }
}

export async function logs(sys: Sys): Promise<void> {
  sys.log.debug("not worth a message between threads");
  sys.log.info("one", { number: 1 });
  sys.log.warn("two");
  sys.log.error("three", { text: "x", flag: true, none: undefined });
}

export async function reports(sys: Sys): Promise<void> {
  let asked = 0;
  sys.report("my part", () => ({ asked: ++asked, list: [1], nested: { text: "yes" } }));
  sys.ready();
  await sys.threads.sleep(1e9);
}

/** Echoes on port 7, a thread for each connection. */
export async function echoes(sys: Sys): Promise<void> {
  const server = sys.net.socket();
  sys.net.bind(server, ECHO_PORT);
  sys.net.listen(server);
  sys.ready();
  for (;;) {
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    sys.threads.spawn(async ({ net }) => {
      net.adopt(peer);
      const bytes = new Uint8Array(16_384);
      for (let n = await net.recv(peer, bytes); n > 0; n = await net.recv(peer, bytes)) {
        await net.send(peer, bytes.subarray(0, n));
      }
      net.close(peer);
    });
  }
}

/** Sends without end whatever file it is told to, to whoever connects to port 7. */
export async function pours(sys: Sys): Promise<void> {
  const { path } = sys.args as { path: string };
  const server = sys.net.socket();
  sys.net.bind(server, ECHO_PORT);
  sys.net.listen(server);
  sys.ready();
  const bytes = new Uint8Array(65_536);
  const peer = await sys.net.accept(server);
  for (;;) {
    const file = await sys.fs.open(path);
    for (let n = await sys.fs.read(file, bytes); n > 0; n = await sys.fs.read(file, bytes)) {
      await sys.net.send(peer, bytes.subarray(0, n));
    }
    await sys.fs.close(file);
  }
}

/** Reads a file again and again, until that fails; it returns 1 when that is an errno, told in the log. */
export async function readsUntilItFails(sys: Sys): Promise<number> {
  const { path } = sys.args as { path: string };
  const bytes = new Uint8Array(65_536);
  sys.ready();
  try {
    for (;;) {
      const file = await sys.fs.open(path);
      await sys.fs.read(file, bytes);
      await sys.fs.close(file);
    }
  } catch (error) {
    sys.log.info("reading ended", { code: codeOf(error) });
    return 1;
  }
}

export async function reads(sys: Sys): Promise<number> {
  const { path } = sys.args as { path: string };
  const bytes = new Uint8Array(100);
  const file = await sys.fs.open(path);
  const length = await sys.fs.read(file, bytes);
  await sys.fs.close(file);
  return length;
}

/** How each kind of call answers where there is no such device. */
export async function triesEverything(sys: Sys): Promise<void> {
  const missing: Record<string, string> = {};
  const sync = (name: string, call: () => unknown): void => {
    try {
      const result = call();
      missing[name] = String(result);
    } catch (error) {
      missing[name] = codeOf(error);
    }
  };
  const waits = async (name: string, call: () => Promise<unknown>): Promise<void> => {
    missing[name] = await call().then(
      () => "settled",
      (error: unknown) => String(error),
    );
  };
  await waits("readdir", () => sys.fs.readdir("/"));
  sync("tryStat", () => sys.fs.tryStat("/"));
  await waits("sendOnBus", () => sys.bus.send(1, new Uint8Array(1)));
  sync("trySendOnBus", () => sys.bus.trySend(1, new Uint8Array(1)));
  if (sys.threads.core > 0) {
    sync("socket", () => sys.net.socket());
    sync("trySelect", () => sys.net.trySelect({}));
    await waits("select", () => sys.net.select({}));
  }
  sys.log.info("missing", missing);
}

/** Starts threads on core 1 and joins them. */
export async function usesCoreOne(sys: Sys): Promise<number> {
  const module = import.meta.url;
  const bus = await sys.threads.spawnOn(1, { module, export: "answersOnBus" });
  for (let i = 1; i <= 100; i++) {
    await sys.bus.send(1, Uint8Array.of(i));
    const { from, bytes } = await sys.bus.receive({ timeoutMs: 5_000 });
    if (from !== 1 || bytes[0] !== (2 * i) % 256) throw new Error(`core ${from} answered ${bytes[0]} to ${i}`);
  }
  await sys.bus.send(1, Uint8Array.of(0));
  const exit = await sys.threads.join(bus);
  if (exit.kind !== "returned" || exit.value !== 100) throw new Error(`the thread on core 1 ${exit.kind}`);
  const tries = await sys.threads.spawnOn(1, { module, export: "triesEverything" });
  await sys.threads.join(tries);
  const failing = await sys.threads.spawnOn(1, { module, export: "fails" });
  const failed = await sys.threads.join(failing);
  if (failed.kind === "failed") sys.log.info("core 1 failed", { message: failed.error.message });
  return 0;
}

export async function answersOnBus(sys: Sys): Promise<number> {
  for (let count = 0; ; count++) {
    const { from, bytes } = await sys.bus.receive();
    const [value = 0] = bytes;
    if (value === 0) return count;
    await sys.bus.send(from, Uint8Array.of((2 * value) % 256));
  }
}

/** Has a thread on core 1 that the machine's stop must reach. */
export async function stopsOnCoreOne(sys: Sys): Promise<number> {
  const thread = await sys.threads.spawnOn(1, { module: import.meta.url, export: "waitsForStop" });
  sys.ready();
  const exit = await sys.threads.join(thread);
  return exit.kind === "returned" ? (exit.value as number) : -1;
}

/** Core 1 hangs for ever, once it has said so. */
export async function hangsCoreOne(sys: Sys): Promise<void> {
  await sys.threads.spawnOn(1, { module: import.meta.url, export: "tellsAndHangs" });
  await sys.bus.receive();
  sys.ready();
  await sys.threads.sleep(1e9);
}

export async function tellsAndHangs(sys: Sys): Promise<void> {
  await sys.bus.send(0, Uint8Array.of(1));
  for (;;) {}
}

/** What becomes of waits for a core that dies. */
export async function outlivesCoreOne(sys: Sys): Promise<number> {
  const thread = await sys.threads.spawnOn(1, { module: import.meta.url, export: "sleepsForEver" });
  sys.ready();
  const joined = await sys.threads.join(thread).then(() => "ended", codeOf);
  const sent = await sys.bus.send(1, Uint8Array.of(1)).then(() => "sent", codeOf);
  const spawned = await sys.threads.spawnOn(1, { module: import.meta.url }).then(() => "spawned", codeOf);
  sys.log.info("core 1 is gone", { joined, sent, spawned });
  return 3;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
