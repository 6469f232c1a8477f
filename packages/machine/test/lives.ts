/**
 * A process that boots machines, uses them, kills some of their threads, stops them, and must then end by itself. It
 * prints what it had open before and after.
 */
import { readdirSync } from "node:fs";
import type { MachineKind } from "../src/machine.ts";
import { boot, bootDedicated, client, echo, over, program } from "./support.ts";

const directory = { path: import.meta.dirname ?? "." };

interface Open {
  readonly descriptors: number;
  readonly threads: number;
  readonly resources: readonly string[];
}

function open(): Open {
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
    // Whatever keeps the process: sockets, servers, timers, workers, ports.
    resources: process.getActiveResourcesInfo().filter((name) => !/^(Pipe|TTY|File)Wrap$|^FSReqPromise$/.test(name)),
  };
}

async function life(kind: MachineKind): Promise<void> {
  const { machine } = await boot(kind, { directory });
  await (await machine.start(program("echoes"))).ready;
  const { port } = await machine.forward({ port: 0, guestPort: 7 });
  const socket = await client(port);
  await echo(socket, "hello");
  const ends = over(socket);
  await machine.stop();
  await ends;
}

async function death(name: string): Promise<void> {
  const { machine, kill } = await bootDedicated({ directory, cores: 2 });
  await (await machine.start(program("echoes"))).ready;
  const { port } = await machine.forward({ port: 0, guestPort: 7 });
  const socket = await client(port);
  await echo(socket, "hello");
  const ends = over(socket);
  await kill(name);
  await machine.stop();
  await ends;
}

async function failedBoot(kind: MachineKind): Promise<void> {
  await boot(kind, { directory: { path: "/nowhere" } }).catch(() => {});
  const { machine } = await boot(kind, { directory });
  await machine.start(program("nothing")).catch(() => {});
  await machine.stop();
}

const all: readonly (() => Promise<void>)[] = [
  () => life("inline"),
  () => life("dedicated"),
  () => failedBoot("inline"),
  () => failedBoot("dedicated"),
  () => death("core 0"),
  () => death("core 1"),
  () => death("vsock device"),
  () => death("file device"),
];
// The first round opens what Node keeps (its thread pool, epoll descriptors).
for (const one of all) await one();
const before = open();
for (const one of all) await one();
console.log(JSON.stringify({ before, after: open() }));
