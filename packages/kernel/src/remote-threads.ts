/**
 * Threads on other cores: asks a core to start one, hears how it ended, passes cancels on; and serves the same for other
 * cores. What a core asks for is the name of a module and a function in it: no object crosses.
 */
import { Errno, type Log, SystemError } from "@toril/virtio/platform";
import type { BusEnd } from "./bus.ts";
import type { ControlHandler } from "./bus-calls.ts";
import type { Core, RemoteSpawner } from "./core.ts";
import { decodeMessage, encodeExit, encodeMessage, type RemoteMessage, receivedExit } from "./remote-messages.ts";
import type { RemoteMain } from "./thread-calls.ts";
import { ThreadHandle } from "./thread-handle.ts";
import { Wait, type WaitTerms } from "./wait.ts";

/** Loads a module by the string that the spawning core gave; `import()` unless told. */
export type ModuleLoader = (module: string) => Promise<unknown>;

/** A thread that this core started elsewhere. */
interface Started {
  readonly core: number;
  readonly reply: Wait<ThreadHandle>;
  handle: ThreadHandle | undefined;
}

export class RemoteThreads<System> implements ControlHandler, RemoteSpawner {
  readonly #core: Core<System>;
  readonly #log: Log;
  readonly #load: ModuleLoader;
  readonly #started = new Map<number, Started>();
  /** Threads that run here for other cores, by core and request. */
  readonly #served = new Map<string, ThreadHandle>();
  #bus: BusEnd<System> | undefined;
  #nextRequest = 1;

  constructor(core: Core<System>, load: ModuleLoader = (module) => import(module)) {
    this.#core = core;
    this.#log = core.log;
    this.#load = load;
  }

  connect(bus: BusEnd<System>): void {
    this.#bus = bus;
  }

  async spawn(core: number, main: RemoteMain, terms: WaitTerms): Promise<ThreadHandle> {
    if (core === this.#core.id) return this.#start(main);
    const bus = this.#requireBus();
    const unreachable = bus.unreachable(core);
    if (unreachable !== undefined) throw new SystemError(unreachable.errno, "spawn", unreachable.message);
    const request = this.#nextRequest++;
    const bytes = encodeMessage({ kind: "spawn", request, export: "main", ...main });
    if (bytes.length > bus.maxControlMessage) {
      const limit = `${bytes.length} bytes of arguments and names: a spawn carries up to ${bus.maxControlMessage}`;
      throw new SystemError(Errno.E2BIG, "spawn", limit);
    }
    const onEnd = (): void => {
      // A spawner that gave up before the answer came: a thread that was started all the same is asked to end.
      const started = this.#started.get(request);
      if (started !== undefined && started.handle === undefined) this.#cancel(core, request, "the spawn was given up");
    };
    const reply = new Wait<ThreadHandle>({ ...terms, onEnd });
    if (!reply.over) {
      this.#started.set(request, { core, reply, handle: undefined });
      bus.sendControl(core, bytes);
    }
    return reply.promise;
  }

  message(from: number, bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message === undefined) {
      this.#log.warn("a core sent something that is no kernel message", { core: this.#core.id, from });
      return;
    }
    switch (message.kind) {
      case "spawn":
        void this.#serve(from, message);
        return;
      case "cancel":
        this.#served.get(`${from}:${message.request}`)?.cancel(message.reason);
        return;
      case "spawned":
      case "refused":
      case "ended":
        this.#answered(from, message);
        return;
      default:
        message satisfies never;
    }
  }

  coreGone(core: number, reason: string): void {
    for (const [request, { core: on, reply, handle }] of [...this.#started]) {
      if (on !== core) continue;
      this.#started.delete(request);
      reply.fail(new SystemError(Errno.EHOSTDOWN, "spawn", `core ${core} ${reason}`));
      handle?.lose(reason);
    }
  }

  #answered(from: number, message: Extract<RemoteMessage, { kind: "spawned" | "refused" | "ended" }>): void {
    const { request } = message;
    const started = this.#started.get(request);
    // A core may speak only of what was asked of it.
    if (started === undefined || started.core !== from) return;
    if (message.kind === "spawned") {
      if (started.handle !== undefined) return;
      const cancel = (reason: unknown): void => this.#cancel(from, request, reason);
      const handle = new ThreadHandle(from, message.thread, message.name, cancel);
      started.handle = handle;
      if (!started.reply.end(handle)) this.#cancel(from, request, "the spawn was given up");
      return;
    }
    this.#started.delete(request);
    if (message.kind === "ended") started.handle?.finish(receivedExit(message.exit));
    else started.reply.fail(new SystemError(message.errno, "spawn", `core ${from}: ${message.detail}`));
  }

  async #serve(from: number, message: Extract<RemoteMessage, { kind: "spawn" }>): Promise<void> {
    const { request } = message;
    const bus = this.#requireBus();
    const key = `${from}:${request}`;
    try {
      const handle = await this.#start(message);
      this.#served.set(key, handle);
      bus.sendControl(from, encodeMessage({ kind: "spawned", request, thread: handle.id, name: handle.name }));
      const exit = await handle.ended;
      bus.sendControl(from, encodeExit(request, exit, bus.maxControlMessage));
    } catch (error) {
      const errno = error instanceof SystemError ? error.errno : Errno.EIO;
      const detail = (error instanceof Error ? error.message : String(error)).slice(0, 500);
      bus.sendControl(from, encodeMessage({ kind: "refused", request, errno, detail }));
    } finally {
      this.#served.delete(key);
    }
  }

  async #start({ module, export: name = "main", args, name: threadName }: RemoteMain): Promise<ThreadHandle> {
    let loaded: unknown;
    try {
      loaded = await this.#core.external(this.#load(module));
    } catch (error) {
      throw new SystemError(Errno.ENOENT, "spawn", `module ${module} could not be loaded: ${String(error)}`);
    }
    const main: unknown = (loaded as Record<string, unknown> | null | undefined)?.[name];
    if (typeof main !== "function") {
      throw new SystemError(Errno.ENOENT, "spawn", `module ${module} exports no function ${name}`);
    }
    const options = threadName === undefined ? {} : { name: threadName };
    return this.#core.spawn((system): unknown => main(system, args), options);
  }

  #cancel(core: number, request: number, reason: unknown): void {
    const said = typeof reason === "string" ? reason : String(reason);
    this.#bus?.sendControl(core, encodeMessage({ kind: "cancel", request, reason: said.slice(0, 500) }));
  }

  #requireBus(): BusEnd<System> {
    if (this.#bus !== undefined) return this.#bus;
    throw new SystemError(Errno.ENODEV, "spawn", "this machine has no bus");
  }
}
