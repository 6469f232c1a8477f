/**
 * Our side of `pnpm bench:vhost-user`, a process of its own like the C front-end (peers/vhost-user-fs.c), with the same
 * jobs: a line on standard input, a line of JSON as the answer. What is measured is the machine that
 * `toril run --machine vhost-user` boots, and the file calls that a program on it makes.
 *
 *   front-end.ts SOCKET NAME
 */
import { createInterface } from "node:readline";
import { createMachine, type Sys } from "@toril/machine";
import type { DmaBuffer } from "@toril/memory";
import { type Job, measure, parseJob } from "./jobs.ts";

const [socket = "", name = ""] = process.argv.slice(2);
/** As in the C front-end. */
const BUFFERS = 32;
const BUFFER_BYTES = 2 ** 20;
const MEMORY = 128 * 2 ** 20;

async function main(sys: Sys): Promise<void> {
  const file = await sys.fs.open(`/${name}`);
  const { size } = await sys.fs.stat(file);
  const buffers = Array.from({ length: BUFFERS }, () => allocate(sys));
  let nextOffset = 0;
  let nextBuffer = 0;
  const getattr = async (): Promise<void> => void (await sys.fs.stat(file));
  const read = async (bytes: number): Promise<void> => {
    if (nextOffset + bytes > size) nextOffset = 0;
    const position = nextOffset;
    nextOffset += bytes;
    const buffer = buffers[nextBuffer++ % BUFFERS];
    if (buffer === undefined) return;
    const count = await sys.fs.pread(file, { buffer, offset: 0, length: bytes }, position);
    if (count !== bytes) throw new Error(`${count} bytes came instead of ${bytes}`);
  };
  const once = (job: Job) => (job.kind === "getattr" ? getattr : () => read(job.bytes));
  for await (const line of createInterface(process.stdin)) {
    const job = parseJob(line);
    process.stdout.write(`${JSON.stringify(await measure(job, once(job)))}\n`);
  }
}

function allocate(sys: Sys): DmaBuffer {
  const buffer = sys.memory.allocate(BUFFER_BYTES, 4096);
  if (buffer === undefined) throw new Error("no guest memory is left");
  buffer.bytes.fill(0); // in place from the start, as the C front-end's
  return buffer;
}

const machine = await createMachine({
  kind: "vhost-user",
  memory: MEMORY,
  vhostUser: { fs: { socket, cache: "none" } },
});
const program = await machine.start({ main });
const exit = await program.ended;
await machine.stop();
if (exit.kind === "failed") throw exit.error;
