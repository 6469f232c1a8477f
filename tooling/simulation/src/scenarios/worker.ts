/**
 * A program that does what programs do: threads that write files and read them back, sleep, take and give memory, wait for
 * each other, and connect to the host. Each checks for itself that it got what it wrote.
 */

import { SeededRandom } from "@toril/kernel";
import type { Sys } from "@toril/machine";
import { SystemError } from "@toril/virtio/platform";
import { HOST_CID, port } from "@toril/vsock";
import type { GuestBytes, GuestStream, HostHandler } from "@toril/vsock/device";
import { firstDifference, pattern } from "../bytes.ts";
import type { Fault, FaultPlan } from "../faults.ts";
import { FileModel } from "../file-model.ts";
import type { Findings } from "../findings.ts";
import { between, once, type Scenario, type World } from "../world.ts";

const ECHO_PORT = 5_000;
const MAX_FILE = 300_000;

interface Job {
  readonly seed: number;
  readonly faults: FaultPlan;
  /** A wait that is not the kernel's, as programs on Node have them: it ends outside of the core's turns. */
  foreign(milliseconds: number): Promise<void>;
}

/** Where threads say what was wrong: runs follow one another. */
let findings: Findings | undefined;

async function main(sys: Sys): Promise<void> {
  const { seed, faults } = sys.args as Job;
  const random = new SeededRandom(seed);
  sys.ready();
  const threads = [
    ...Array.from({ length: between(random, 1, 4) }, (_, i) =>
      sys.threads.spawn((own) => useFile(own, i, new SeededRandom(seed + 1 + i), faults), { name: `file ${i}` }),
    ),
    ...Array.from({ length: random.next(4) }, (_, i) =>
      sys.threads.spawn((own) => talkToHost(own, i, new SeededRandom(seed + 100 + i), faults), { name: `talker ${i}` }),
    ),
    ...Array.from({ length: random.next(4) }, (_, i) =>
      sys.threads.spawn((own) => sleepAndTake(own, new SeededRandom(seed + 200 + i)), { name: `sleeper ${i}` }),
    ),
  ];
  for (const thread of threads) {
    const exit = await sys.threads.join(thread);
    const wrong = exit.kind === "failed" && !(exit.error instanceof SystemError);
    if (wrong) say(`${thread.name} failed: ${exit.error.stack}`);
    else if (exit.kind === "failed" && !faults.any("file-errors", "device-reset", "transport-reset", "aborts")) {
      say(`${thread.name} failed: ${exit.error.message}`);
    }
  }
}

function say(finding: string): void {
  findings?.add(finding);
}

async function useFile(sys: Sys, id: number, random: SeededRandom, faults: FaultPlan): Promise<void> {
  const path = `/work/file ${id}`;
  const excused = excusedBy(faults, "file-errors", "device-reset");
  const file = await retry(() => sys.fs.open(path, { mode: "w+" }), excused);
  if (file === undefined) return;
  const model = new FileModel(MAX_FILE);
  try {
    for (let i = between(random, 3, 20); i > 0; i--) {
      await oneStep(sys, file, path, model, random, id, faults);
    }
    await readAll(sys, file, model, id, faults);
  } finally {
    await sys.fs.close(file).catch(excused);
  }
  await sys.fs.unlink(path).catch(excused);
}

type OpenFile = Awaited<ReturnType<Sys["fs"]["open"]>>;

async function oneStep(
  sys: Sys,
  file: OpenFile,
  path: string,
  model: FileModel,
  random: SeededRandom,
  id: number,
  faults: FaultPlan,
): Promise<void> {
  const excused = excusedBy(faults, "file-errors", "device-reset");
  const position = random.next(once(random, 2) ? 5_000 : MAX_FILE - 70_000);
  const length = between(random, 1, once(random, 3) ? 70_000 : 4_000);
  switch (random.next(7)) {
    case 0:
    case 1:
    case 2: {
      const bytes = pattern(random.next(250), position, length);
      try {
        const written = await sys.fs.pwrite(file, bytes, position);
        // As in POSIX: a write that fails after a part of it says how much was written.
        const short = written < length;
        if (short && !faults.any("file-errors", "device-reset"))
          say(`file ${id}: ${written} of ${length} bytes written`);
        model.write(position, bytes.subarray(0, written));
        if (short) model.maybeWritten(position + written, bytes.subarray(written));
      } catch (error) {
        excused(error);
        model.maybeWritten(position, bytes);
      }
      return;
    }
    case 3:
      return readAndCheck(sys, file, model, position, length, id, faults);
    case 4:
      try {
        await sys.fs.truncate(file, position);
        model.truncate(position);
      } catch (error) {
        excused(error);
        model.maybeTruncated(position);
      }
      return;
    case 5: {
      const names = await sys.fs.readdir("/work").catch(excused);
      if (names !== undefined && !names.some(({ name }) => name === path.slice(6)))
        say(`${path} is not in its directory`);
      return;
    }
    default:
      return sys.threads.sleep(random.next(50));
  }
}

async function readAndCheck(
  sys: Sys,
  file: OpenFile,
  model: FileModel,
  position: number,
  length: number,
  id: number,
  faults: FaultPlan,
): Promise<void> {
  const excused = excusedBy(faults, "file-errors", "device-reset");
  const bytes = new Uint8Array(length);
  const read = await sys.fs.pread(file, bytes, position).catch(excused);
  if (read === undefined) return;
  // As in POSIX: where the device could not read on, the bytes before that are the answer.
  const mayBeShort = read > 0 && faults.any("file-errors", "device-reset");
  const wrong = model.problemWith(position, mayBeShort ? read : length, bytes.subarray(0, read));
  if (wrong !== undefined) say(`WRONG BYTES: file ${id}, ${length} bytes at ${position}: ${wrong}`);
}

async function readAll(sys: Sys, file: OpenFile, model: FileModel, id: number, faults: FaultPlan): Promise<void> {
  for (let position = 0; position < model.largestSize + 1; position += 65_536) {
    await readAndCheck(sys, file, model, position, 65_536, id, faults);
  }
}

/** Sends a pattern to the host's echo port, half-closes, and expects the same back. */
async function talkToHost(sys: Sys, id: number, random: SeededRandom, faults: FaultPlan): Promise<void> {
  const { net } = sys;
  const { foreign } = sys.args as Job;
  if (once(random, 2)) await foreign(random.next(40));
  else await sys.threads.sleep(random.next(40));
  const socket = net.socket();
  const length = random.next(once(random, 2) ? 2_000 : 200_000);
  const sent = pattern(id + 50, 0, length);
  try {
    await net.connect(socket, { cid: HOST_CID, port: ECHO_PORT }, { timeoutMs: 20_000 });
    const writer = sys.threads.spawn(async (own) => {
      for (let at = 0; at < length; ) {
        if (once(random, 4)) await foreign(random.next(10));
        const piece = Math.min(between(random, 1, 60_000), length - at);
        at += await own.net.send(socket, sent.subarray(at, at + piece));
      }
      if (once(random, 2)) await foreign(random.next(10));
      own.net.shutdown(socket, "send");
    });
    const got = new Uint8Array(length + 1);
    let received = 0;
    for (;;) {
      const count = await net.recv(socket, got.subarray(received));
      if (count === 0) break;
      received += count;
      if (received > length) break;
    }
    const exit = await sys.threads.join(writer);
    if (exit.kind === "failed") throw exit.error;
    const at = firstDifference(got.subarray(0, received), sent);
    if (at >= 0) say(`WRONG BYTES: talker ${id}: byte ${at} of ${length} came back wrong (${received} came)`);
  } catch (error) {
    excusedBy(faults, "aborts", "device-reset", "transport-reset")(error);
  } finally {
    net.close(socket);
  }
}

async function sleepAndTake(sys: Sys, random: SeededRandom): Promise<void> {
  for (let i = random.next(6); i > 0; i--) {
    const ms = random.next(80);
    const before = sys.threads.now();
    await sys.threads.sleep(ms);
    // Times are sums of fractions.
    if (sys.threads.now() - before < ms - 1e-6) say(`a sleep of ${ms} ms was over after ${sys.threads.now() - before}`);
    const buffer = sys.memory.allocate(between(random, 1, 20_000));
    if (buffer === undefined) continue;
    const bytes = pattern(i, 0, buffer.length);
    buffer.writable.set(bytes);
    await sys.threads.yield();
    if (firstDifference(buffer.bytes, bytes) >= 0) say("WRONG BYTES: somebody wrote into a thread's memory");
    buffer.free();
  }
}

/** @returns what to do with an error: it may be an honest one. */
function excusedBy(faults: FaultPlan, ...kinds: readonly Fault[]): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof SystemError)) throw error;
    if (!faults.any(...kinds)) say(`an error without a cause: ${error.message}`);
    return undefined;
  };
}

async function retry<T>(attempt: () => Promise<T>, excused: (error: unknown) => undefined): Promise<T | undefined> {
  for (let i = 0; i < 5; i++) {
    try {
      return await attempt();
    } catch (error) {
      excused(error);
    }
  }
  return undefined;
}

/** The host's end: sends back what it gets. */
class HostEcho implements HostHandler {
  readonly #stream: GuestStream;
  readonly #waiting: GuestBytes[] = [];
  #offset = 0;
  #ended = false;
  #left: number;
  #over = false;

  constructor(stream: GuestStream, breaksOffAfter: number) {
    this.#stream = stream;
    this.#left = breaksOffAfter;
  }

  data(chunk: GuestBytes): void {
    this.#waiting.push(chunk);
    this.#pump();
  }

  end(): void {
    this.#ended = true;
    this.#pump();
  }

  drain(): void {
    this.#pump();
  }

  closed(): void {
    this.#over = true;
    for (const chunk of this.#waiting.splice(0)) chunk.release();
  }

  #pump(): void {
    for (let first = this.#waiting[0]; first !== undefined && !this.#over; first = this.#waiting[0]) {
      const written = this.#stream.write(first.bytes.subarray(this.#offset));
      this.#offset += written;
      this.#left -= written;
      if (this.#left <= 0) {
        this.#stream.destroy();
        this.closed();
        return;
      }
      if (this.#offset < first.bytes.length) return;
      this.#waiting.shift();
      this.#offset = 0;
      first.release();
    }
    if (this.#ended && this.#waiting.length === 0) this.#stream.end();
  }
}

export const worker: Scenario = {
  name: "worker",
  ends: "by itself",
  main,
  prepare: (disk) => disk.addFile("/work/.keep", ""),
  args: (faults, random, simulation): Job => ({
    seed: random.next(2 ** 30),
    faults,
    foreign: (milliseconds) => simulation.sleep(milliseconds, "a wait that is not the kernel's ends"),
  }),
  visitors(world: World) {
    findings = world.findings;
    const random = world.simulation.random("host echo");
    world.machine.vsock.listen(port(ECHO_PORT), (stream) => {
      const breaksOff = world.faults.has("aborts") && once(random, 2);
      return new HostEcho(stream, breaksOff ? random.next(100_000) : Number.POSITIVE_INFINITY);
    });
    return [];
  },
  check({ files, findings: found, faults }) {
    if (faults.has("device-reset")) return;
    found.check(files.openHandles === 0, `the program has ended, but ${files.openHandles} files are open`);
  },
};
