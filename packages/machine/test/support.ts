/** What the machine's tests share: machines with a log that can be read, and programs by name. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { BootedMachine } from "../src/booted-machine.ts";
import { DedicatedHardware } from "../src/dedicated/hardware.ts";
import { createMachine } from "../src/index.ts";
import type { Machine, MachineKind, MachineOptions, Program } from "../src/machine.ts";
import { machineSettings } from "../src/settings.ts";

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

export interface Recorder {
  readonly lines: LogLine[];
  readonly log: NonNullable<MachineOptions["log"]>;
  /** The first line with this message. */
  find(message: string): LogLine | undefined;
}

export function recorder(): Recorder {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (message: string, fields?: LogLine["fields"]): void =>
      void lines.push({ level, message, fields });
  return {
    lines,
    log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    find: (message) => lines.find((line) => line.message === message),
  };
}

type Rest = Omit<MachineOptions, "kind" | "log">;

export async function boot(kind: MachineKind, options: Rest = {}): Promise<{ machine: Machine } & Recorder> {
  const recorded = recorder();
  return { machine: await createMachine({ kind, ...options, log: recorded.log }), ...recorded };
}

/** A dedicated machine whose threads can be killed, by name. */
export async function bootDedicated(
  options: Rest = {},
): Promise<{ machine: Machine; kill(name: string): Promise<void> } & Recorder> {
  const recorded = recorder();
  const hardware = await DedicatedHardware.boot(machineSettings({ kind: "dedicated", ...options, log: recorded.log }));
  const kill = async (name: string): Promise<void> => {
    const worker = hardware.workers.find((one) => one.name === name);
    if (worker === undefined) throw new Error(`there is no thread ${name}`);
    await worker.kill();
  };
  return { machine: new BootedMachine(hardware), kill, ...recorded };
}

const programs = new URL("./programs.ts", import.meta.url);

/** One of programs.ts. */
export function program(name: string, args?: unknown): Program {
  return { module: programs, export: name, args };
}

export async function client(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: false });
  // Reset or not: what counts is that it ends.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Settles when the connection is over, in order or reset. */
export function over(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

export async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let got = "";
  while (got.length < text.length) got += String((await once(socket, "data"))[0]);
  return got;
}
