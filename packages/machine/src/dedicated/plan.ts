/** What the supervisor gives each worker at its start, and what they say to each other afterwards. All of it cloneable. */
import type { MessagePort } from "node:worker_threads";
import type { BusPlace } from "@toril/kernel";
import type { LogFields } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import type { TxPath } from "@toril/vsock";
import type { ForwardOptions } from "../machine.ts";
import type { RecordOptions } from "../recording.ts";
import type { StatGroup } from "../stats.ts";
import type { MachineTuning } from "../tuning.ts";

/** What threads of one machine share. */
export interface SharedParts {
  /** The WebAssembly memory behind the guest memory. */
  readonly wasm: object;
  /** A CoreBoard of the cores, and one of the device threads: wake words, and who lives. */
  readonly cores: SharedArrayBuffer;
  readonly devices: SharedArrayBuffer;
}

/** The supervisor's way to a worker: see mailbox.ts. */
export interface MailboxPart {
  readonly port: MessagePort;
  readonly count: SharedArrayBuffer;
}

/** Places on the board of device threads. */
export const DeviceThread = { VSOCK: 0, FILES: 1 } as const;
export type DeviceThread = (typeof DeviceThread)[keyof typeof DeviceThread];

/** A device as core 0 finds it. */
export interface DevicePart {
  readonly thread: DeviceThread;
  /** The register page. */
  readonly page: SharedArrayBuffer;
}

export interface CorePlan {
  readonly kind: "core";
  readonly core: number;
  readonly shared: SharedParts;
  readonly mailbox: MailboxPart;
  readonly tuning: MachineTuning;
  readonly heap: { readonly base: number; readonly size: number };
  /** Absent on a machine of one core. */
  readonly bus: BusPlace | undefined;
  /** Modules to import before any program's. */
  readonly preload: readonly string[];
  /** Only core 0 has devices, and runs the program. */
  readonly main:
    | {
        readonly vsock: DevicePart & { readonly txPath: TxPath };
        readonly files: (DevicePart & { readonly cache: CacheMode; readonly cacheBytes: number }) | undefined;
        readonly record: RecordOptions | undefined;
        readonly program: { readonly module: string; readonly export: string; readonly args: unknown };
      }
    | undefined;
}

export interface DevicePlan {
  readonly kind: "device";
  readonly thread: DeviceThread;
  readonly shared: SharedParts;
  readonly mailbox: MailboxPart;
  readonly tuning: MachineTuning;
  readonly page: SharedArrayBuffer;
  readonly device:
    | { readonly type: "vsock"; readonly cid: number }
    | { readonly type: "files"; readonly path: string; readonly access: "read-only" | "writable" };
}

/** From the supervisor, and what each is answered with. */
interface Exchanges {
  stats: { readonly ask: object; readonly answer: StatParts };
  /** To cores: `sys.stopping` fires. */
  "request-stop": { readonly ask: object; readonly answer: undefined };
  /** Let go of everything and end. */
  "shut-down": { readonly ask: object; readonly answer: undefined };
  /** To the vsock thread. */
  forward: { readonly ask: { readonly options: ForwardOptions }; readonly answer: ForwardReply };
  "end-forwards": { readonly ask: { readonly graceMs: number }; readonly answer: undefined };
  "close-forward": { readonly ask: { readonly forward: number }; readonly answer: undefined };
  /** To the vsock thread: runs a function of a module beside the device. */
  "run-host": {
    readonly ask: { readonly module: string; readonly export: string; readonly args: unknown };
    readonly answer: unknown;
  };
  /** To device threads: the core that drove the device is dead. */
  "driver-died": { readonly ask: object; readonly answer: undefined };
}

export type RequestKind = keyof Exchanges;
export type Answer<Kind extends RequestKind> = Exchanges[Kind]["answer"];
/** What is asked, before it has a number. */
export type Wish<Kind extends RequestKind = RequestKind> = {
  [K in Kind]: { readonly kind: K } & Exchanges[K]["ask"];
}[Kind];
/** Answered by a `reply` or a `refusal` with its number. */
export type Request = Wish & { readonly number: number };

/** An error that crosses threads: the shape of the first, not its class. */
export interface CarriedError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
}

/** What a `forward` is answered with. */
export interface ForwardReply {
  readonly forward: number;
  readonly host: string;
  readonly port: number;
}

type StatParts = { readonly [part: string]: StatGroup };

/** From a worker. */
export type Notice =
  /** It is up: a device serves, core 0 has started the program, another core turns. */
  | { readonly kind: "up" }
  | { readonly kind: "failed"; readonly error: CarriedError }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: LogFields | undefined;
    }
  | { readonly kind: "program-ready" }
  | { readonly kind: "program-ended"; readonly exit: { readonly code: number } | { readonly error: CarriedError } }
  | { readonly kind: "reply"; readonly number: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly number: number; readonly error: CarriedError };

export function carryError(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), code: undefined, stack: undefined };
  const { name, message, stack } = error;
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { name, message, code, stack };
}

export function landError({ name, message, code, stack }: CarriedError): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return code === undefined ? error : Object.assign(error, { code });
}
