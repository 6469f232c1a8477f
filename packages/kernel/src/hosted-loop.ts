/**
 * The loop of a hosted core: it shares the event loop of Node (or of any engine that has one), so its programs may use
 * Node's own streams and timers beside the system calls. While turns make progress they follow each other, a few behind
 * one another as microtasks, then after everybody else had a chance. When idle it waits asynchronously.
 */
import type { BellWait } from "./bell.ts";
import type { Core } from "./core.ts";
import { IdlePolicy, NO_SPIN, type SpinLimits } from "./idle-policy.ts";

/** The two things a hosted loop needs of its host. */
export interface HostLoop {
  /** Calls back once, after other events of the host's loop had their turn (setImmediate). */
  turn(callback: () => void): void;
  /**
   * Calls back once, after `milliseconds`, which may be Infinity; keeps the process alive until then, or until it is
   * cancelled (setTimeout).
   */
  after(milliseconds: number, callback: () => void): { cancel(): void };
}

export interface HostedLoopOptions {
  readonly host: HostLoop;
  /**
   * NO_SPIN unless told: right for a bell that only this thread rings, since what else wakes the core comes through the
   * host's event loop. ADAPTIVE_SPIN where other threads ring.
   */
  readonly spin?: SpinLimits;
}

export interface RunningLoop {
  readonly idle: IdlePolicy;
  /** Ends the loop after the present turn. */
  stop(): void;
  /** Settles when the loop has ended. */
  readonly ended: Promise<void>;
}

/** Turns that follow each other as microtasks before the host's events get their turn. */
const TURNS_PER_EVENT = 16;
/** And the time after which they get it earlier: a busy turn is long. */
const MS_PER_EVENT = 1;
/** Microtasks after a turn that found nothing, before the host gets its turn: a few `await`s, one in the other. */
const HOPS = 8;

/**
 * Turns that look for work behind one another when the core is quiet and may spin: the host's loop costs more than they
 * do. A few microseconds, for which its events wait.
 */
const SPINS_PER_EVENT = 16;

export function runHosted<System>(core: Core<System>, options: HostedLoopOptions): RunningLoop {
  const loop = new HostedLoop(core, options);
  loop.begin();
  return loop;
}

class HostedLoop<System> implements RunningLoop {
  readonly idle: IdlePolicy;
  readonly ended: Promise<void>;
  readonly #core: Core<System>;
  readonly #host: HostLoop;
  #state: "turning" | "waiting" | "stopping" | "ended" = "turning";
  #turnsLeft = TURNS_PER_EVENT;
  #yieldAt = 0;
  #end: () => void = () => {};
  #bellWait: BellWait | undefined;
  /** Set for `#deadlineAt`, which may be earlier than need be: then the loop wakes once for nothing. */
  #deadline: { cancel(): void } | undefined;
  #deadlineAt = 0;
  #waitingSince = 0;
  /** The last turn found nothing to do. */
  #quiet = false;
  #hopsLeft = 0;

  constructor(core: Core<System>, { host, spin = NO_SPIN }: HostedLoopOptions) {
    this.#core = core;
    this.#host = host;
    this.idle = new IdlePolicy(spin, () => core.clock.now());
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  begin(): void {
    this.#host.turn(this.#onEvent);
  }

  stop(): void {
    if (this.#state === "waiting") {
      this.#bellWait?.cancel();
      this.#host.turn(this.#onEvent);
    }
    if (this.#state !== "ended") this.#state = "stopping";
  }

  readonly #onEvent = (): void => {
    this.#turnsLeft = TURNS_PER_EVENT;
    const quiet = this.#quiet && this.#state === "turning";
    this.#quiet = false;
    if (quiet) {
      this.#lookAround();
      return;
    }
    this.#yieldAt = this.#core.clock.now() + MS_PER_EVENT;
    this.#turn();
  };

  readonly #turn = (): void => {
    if (this.#state === "stopping") {
      this.#deadline?.cancel();
      this.#state = "ended";
      this.#end();
    } else if (this.#core.turn()) {
      this.#goOn();
    } else if (this.#turnsLeft < TURNS_PER_EVENT) {
      // A turn behind another one says little: a thread may need a few microtasks more until it asks for something.
      this.#hopsLeft = HOPS;
      void DONE.then(this.#settle);
    } else {
      this.#lookAround();
    }
  };

  /** What a thread asks for rings the bell. When the host calls, all microtasks are done. */
  readonly #settle = (): void => {
    if (this.#core.bell.read() !== this.#core.seen) {
      this.#turn();
    } else if (--this.#hopsLeft > 0) {
      void DONE.then(this.#settle);
    } else {
      this.#quiet = true;
      this.#host.turn(this.#onEvent);
    }
  };

  /** There was work. Behind what the resumed threads do now, as far as that goes without waiting for the host. */
  #goOn(): void {
    this.idle.worked();
    if (--this.#turnsLeft > 0 && this.#core.clock.now() < this.#yieldAt) void DONE.then(this.#turn);
    else this.#host.turn(this.#onEvent);
  }

  /**
   * There was none, and what was ready has run: whatever it did has rung the bell. Spins a while, with turns for the host's
   * events in between, then waits.
   */
  #lookAround(): void {
    for (let i = 0; i < SPINS_PER_EVENT; i++) {
      if (!this.idle.spin()) {
        if (this.#core.arm()) this.#host.turn(this.#onEvent);
        else this.#wait();
        return;
      }
      if (this.#core.turn()) {
        this.#yieldAt = this.#core.clock.now() + MS_PER_EVENT;
        this.#goOn();
        return;
      }
    }
    this.#quiet = true;
    this.#host.turn(this.#onEvent);
  }

  #wait(): void {
    this.#state = "waiting";
    const now = this.#core.clock.now();
    this.#waitingSince = now;
    this.#bellWait = this.#core.bell.onRing(this.#core.seen, () => this.#woken("rung"));
    const milliseconds = this.#core.untilDeadline;
    if (this.#deadline !== undefined && this.#deadlineAt <= now + milliseconds) return;
    this.#deadline?.cancel();
    this.#deadlineAt = now + milliseconds;
    this.#deadline = this.#host.after(milliseconds, () => {
      this.#deadline = undefined;
      this.#woken("timer");
    });
  }

  #woken(cause: "rung" | "timer"): void {
    if (this.#state !== "waiting") return;
    this.#bellWait?.cancel();
    const now = this.#core.clock.now();
    this.idle.waited(now - this.#waitingSince, cause);
    this.#state = "turning";
    this.#turnsLeft = TURNS_PER_EVENT - 1; // a ring may call from a microtask
    this.#yieldAt = now + MS_PER_EVENT;
    this.#turn();
  }
}

const DONE: Promise<void> = Promise.resolve();
