/**
 * Who keeps a device in another process there: by looking for somebody's back-end until it is back, or by starting our
 * daemon again. A back-end that is there and useless (it broke the rules of its queues, or never answers) is given up like
 * one that is gone: its connection is closed, or its process killed, and only then does its driver get its buffers back.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, type Supervisor, supervise, type VhostUserTransport } from "@toril/vhost-user";
import type { Log } from "@toril/virtio/platform";
import type { Seat } from "../seat.ts";
import type { StatGroup } from "../stats.ts";

export interface Keeper {
  readonly transport: VhostUserTransport;
  /** The guest has a driver on it. */
  readonly inUse: boolean;
  /** From now on the device may be replaced: the guest is up. */
  watch(seat: Seat): void;
  stats(): StatGroup;
  close(): Promise<void>;
}

/** How often a device is looked at, and a back-end that was lost is looked for. */
const LOOK_AGAIN_MS = 250;

/** Calls back now and then, one call after the other, until the signal aborts. */
async function everySoOften(signal: AbortSignal, look: () => Promise<void> | void): Promise<void> {
  while (!signal.aborted) {
    await sleep(LOOK_AGAIN_MS, undefined, { ref: false, signal }).catch(() => {});
    if (!signal.aborted) await look();
  }
}

/** Somebody's back-end: when it goes away it is looked for, for as long as the machine runs. */
export class BackEndKeeper implements Keeper {
  readonly transport: VhostUserTransport;
  readonly #name: string;
  readonly #log: Log;
  readonly #closed = new AbortController();
  #seat: Seat | undefined;
  #reconnects = 0;

  /** @param name of the device, in messages */
  constructor(transport: VhostUserTransport, name: string, log: Log) {
    this.transport = transport;
    this.#name = name;
    this.#log = log;
  }

  get inUse(): boolean {
    return this.transport.lost === undefined && this.#seat?.failure === undefined;
  }

  watch(seat: Seat): void {
    this.#seat = seat;
    void everySoOften(this.#closed.signal, () => this.#look(seat));
  }

  stats(): StatGroup {
    return { reconnects: this.#reconnects, lost: this.transport.lost ?? "no" };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.transport.close();
  }

  async #look(seat: Seat): Promise<void> {
    const { transport } = this;
    const { failure } = seat;
    if (transport.lost === undefined && failure !== undefined) transport.disconnect(failure);
    if (transport.lost === undefined) return;
    try {
      await seat.replace(async () => {
        await transport.reconnect();
        return transport;
      });
      this.#reconnects++;
      this.#log.info(`the ${this.#name}'s back-end is there again`, { reconnects: this.#reconnects });
    } catch (error) {
      this.#log.debug(`the ${this.#name}'s back-end is not there yet`, { reason: String(error) });
    }
  }
}

export interface DaemonKeeperOptions<D extends Daemon> {
  /** The daemon's, in messages. */
  readonly name: string;
  readonly log: Log;
  readonly start: () => Promise<D>;
  readonly connect: (daemon: D) => Promise<VhostUserTransport>;
}

/** A daemon of our own: started again when it ends, and ended when it is of no use. */
export class DaemonKeeper<D extends Daemon> implements Keeper {
  readonly transport: VhostUserTransport;
  readonly #supervisor: Supervisor<D>;
  readonly #state: DaemonState;
  #seat: Seat | undefined;

  private constructor(transport: VhostUserTransport, supervisor: Supervisor<D>, state: DaemonState) {
    this.transport = transport;
    this.#supervisor = supervisor;
    this.#state = state;
  }

  /** @throws DaemonError, VirtioError */
  static async open<D extends Daemon>({ name, log, start, connect }: DaemonKeeperOptions<D>): Promise<DaemonKeeper<D>> {
    const state = new DaemonState();
    let transport: VhostUserTransport | undefined;
    const supervisor = await supervise({
      name,
      log,
      start,
      replaced: (daemon) =>
        state.whileReplacing(async (seat) => {
          await seat.replace(async () => {
            if (transport === undefined) throw new Error("there was no connection");
            transport.disconnect("its daemon ended");
            await transport.reconnect({ socketPath: daemon.socketPath });
            return transport;
          });
          log.info(`${name} was started again`, { pid: daemon.pid });
        }),
    });
    try {
      transport = await connect(supervisor.daemon);
      return new DaemonKeeper(transport, supervisor, state);
    } catch (error) {
      state.end();
      await supervisor.stop();
      throw error;
    }
  }

  /** The one that is running, or ran last. */
  get daemon(): D {
    return this.#supervisor.daemon;
  }

  get inUse(): boolean {
    return this.transport.lost === undefined && this.#seat?.failure === undefined;
  }

  watch(seat: Seat): void {
    this.#seat = seat;
    this.#state.begin(seat);
    let useless: D | undefined;
    void everySoOften(this.#state.ended, () => {
      const { daemon } = this;
      if (this.inUse || this.#state.replacing || !daemon.running) useless = undefined;
      // Seen twice: it is not about to end by itself.
      else if (useless === daemon) daemon.signal("SIGKILL");
      else useless = daemon;
    });
  }

  stats(): StatGroup {
    return { pid: this.daemon.pid, restarts: this.#supervisor.restarts, lost: this.transport.lost ?? "no" };
  }

  async close(): Promise<void> {
    // The daemon ends when it sees its socket closed: nobody is to take that for a death.
    this.#state.end();
    await this.transport.close();
    await this.#supervisor.stop();
  }
}

/** What a daemon's keeper and its supervisor must both know. */
class DaemonState {
  readonly #end = new AbortController();
  readonly #seat: Promise<Seat | undefined>;
  #seated: (seat: Seat | undefined) => void = () => {};
  replacing = false;

  constructor() {
    this.#seat = new Promise((resolve) => {
      this.#seated = resolve;
    });
  }

  get ended(): AbortSignal {
    return this.#end.signal;
  }

  begin(seat: Seat): void {
    this.#seated(seat);
  }

  end(): void {
    this.#end.abort();
    this.#seated(undefined); // unless there has been one
  }

  async whileReplacing(replace: (seat: Seat) => Promise<void>): Promise<void> {
    const seat = await this.#seat;
    if (seat === undefined || this.ended.aborted) throw new Error("the machine has stopped");
    this.replacing = true;
    try {
      await replace(seat);
    } finally {
      this.replacing = false;
    }
  }
}
