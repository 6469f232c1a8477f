/** The echo server: what comes back must be what was sent, to the byte, and nothing else. */
import { main } from "@toril/app-echo-server";
import { Errno } from "@toril/virtio/platform";
import { firstDifference, pattern } from "../bytes.ts";
import { Client } from "../client.ts";
import { between, once, type Scenario, type World } from "../world.ts";

const ECHO_PORT = 7;

class EchoClient extends Client {
  readonly #sent: Uint8Array;
  #wantsEndAfter: number;

  constructor(world: World, id: number) {
    super(world, `client ${id}`, ECHO_PORT);
    const { random } = this;
    this.#sent = pattern(id, 0, once(random, 3) ? random.next(400_000) : random.next(5_000));
    this.#wantsEndAfter = this.#sent.length;
  }

  protected connected(): void {
    const { random } = this;
    // In a few writes, some of them later than others.
    let at = 0;
    let delay = 0;
    while (at < this.#sent.length) {
      const length = Math.min(between(random, 1, 100_000), this.#sent.length - at);
      const piece = this.#sent.subarray(at, at + length);
      at += length;
      const last = at === this.#sent.length;
      delay += random.next(5);
      this.world.simulation.after(delay, `${this.name} writes ${length}`, () => {
        this.write(piece);
        if (last) this.endWriting();
      });
    }
    if (this.#sent.length === 0) this.endWriting();
  }

  protected take(bytes: Uint8Array): void {
    const from = this.received - bytes.length;
    const at = firstDifference(bytes, this.#sent.subarray(from, this.received));
    if (at >= 0)
      this.world.findings.add(`WRONG BYTES: ${this.name}: byte ${from + at} of the echo is not what was sent`);
  }

  protected sentAll(): void {
    if (this.brokenOff !== undefined) return;
    const all = this.received === this.#wantsEndAfter;
    const what = `${this.received} of ${this.#wantsEndAfter} bytes`;
    this.world.findings.check(all || this.#excused(), `${this.name} got an orderly end after ${what}`);
  }

  protected refused(errno: number): void {
    const late = errno === Errno.ETIMEDOUT && this.world.faults.has("stalls");
    const excused = late || this.#excused() || this.brokenOff !== undefined;
    this.world.findings.check(excused, `${this.name} was refused: errno ${errno}`);
  }

  protected over(errno: number): void {
    const complete = this.received === this.#wantsEndAfter && errno === 0;
    const excused = complete || this.brokenOff !== undefined || this.#excused();
    const what = `${this.received} of ${this.#wantsEndAfter} bytes`;
    this.world.findings.check(excused, `${this.name} ended with errno ${errno} after ${what}`);
  }

  #excused(): boolean {
    return this.world.faults.any("device-reset", "transport-reset");
  }
}

export const echo: Scenario = {
  name: "echo",
  ends: "when asked",
  main,
  prepare: () => {},
  args: () => undefined,
  visitors(world) {
    const random = world.simulation.random("visitors");
    const count = world.faults.has("flood") ? 30 + random.next(40) : 1 + random.next(6);
    return Array.from({ length: count }, (_, i) => new EchoClient(world, i));
  },
};
