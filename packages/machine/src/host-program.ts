/**
 * The host's end of a protocol without a socket in between: a function of a module, run beside the vsock device, on the
 * thread that polls it. What it is given is the device's own face.
 */
import { type Clock, Errno, SystemError } from "@toril/virtio/platform";
import type { Port } from "@toril/vsock";
import type { GuestStream, HostPortHandler, VsockDevice } from "@toril/vsock/device";
import { type StatGroup, statGroup } from "./stats.ts";

/** What runs on the host's side. Its args, and what it returns, are copied (structured clone) on every machine. */
export interface HostProgram {
  readonly module: URL;
  /** `main` unless told. */
  readonly export?: string;
  readonly args?: unknown;
}

/** What a function of the host's side gets. It must not block: the device's thread is its thread. */
export interface HostCalls {
  /** As `VsockDevice.connect`. */
  connect(guestPort: number, handler: HostPortHandler, options?: { readonly timeoutMs?: number }): GuestStream;
  /** As `VsockDevice.listen`. @returns stops it */
  listen(hostPort: number, handler: HostPortHandler): () => void;
  /** Of the thread's loop. On the dedicated machine all threads' clocks have one origin. */
  readonly clock: Clock;
  /** Counters of the device, and of the loop that polls it, as they are now. */
  stats(): { readonly [part: string]: StatGroup };
}

export type HostMain = (host: HostCalls, args: unknown) => unknown;

export function hostCalls(device: VsockDevice, clock: Clock, loop: () => object): HostCalls {
  return {
    connect: (guestPort, handler, options) => device.connect(guestPort as Port, handler, options),
    listen: (hostPort, handler) => device.listen(hostPort as Port, handler),
    clock,
    stats: () => ({ "vsock device": statGroup(device.stats), loop: statGroup(loop()) }),
  };
}

/** @throws SystemError ENOENT when the module exports no such function; whatever importing it, or the function, throws */
export async function runHostProgram(calls: HostCalls, program: HostProgram): Promise<unknown> {
  const { module: url, export: name = "main", args } = program;
  const module: unknown = await import(url.href);
  const main: unknown = typeof module === "object" && module !== null ? Reflect.get(module, name) : undefined;
  // Copied here, not on the way to the supervisor: what cannot be copied is this program's fault, not the thread's.
  if (typeof main === "function") return structuredClone(await (main as HostMain)(calls, args));
  throw new SystemError(Errno.ENOENT, "exec", `${url.href} exports no function ${name}(host, args)`);
}
