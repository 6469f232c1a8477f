/**
 * The real thing for tests: socket layer, vsock driver, rings, vsock device, in one thread. Host port PORT_OUT leads back
 * into the guest: what connects to it is relayed by the host to the same port of the guest. So client and server can both
 * be programs in the guest, and every byte crosses the rings twice in each direction.
 */

import { VirtualClock } from "@toril/virtio/testing";
import { HOST_CID, type Port } from "@toril/vsock";
import type { GuestBytes, GuestStream, HostHandler, VsockDevice } from "@toril/vsock/device";
import { createLoopback, type Loopback, type LoopbackOptions } from "@toril/vsock/testing";
import { SocketLayer } from "../layer.ts";

export interface Stack {
  readonly loopback: Loopback;
  readonly clock: VirtualClock;
  readonly layer: SocketLayer;
  /** Connect to a port of this CID, and the host connects to the same port of the guest. */
  readonly relayCid: number;
  /** Polls everything until the promise settles. @throws Error when nothing moves any more. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

/** One direction of a relayed connection. What does not fit stays in the guest's memory, so its credit stays used. */
class Relay implements HostHandler {
  /** Where the bytes go; known when the other side is connected. */
  peer: GuestStream | undefined;
  other: Relay | undefined;
  readonly #waiting: GuestBytes[] = [];
  /** Bytes of the first chunk that are written. */
  #written = 0;
  #ended: "no" | "yes" = "no";

  data(chunk: GuestBytes): void {
    this.#waiting.push(chunk);
    this.pump();
  }
  end(): void {
    this.#ended = "yes";
    this.pump();
  }
  /** Room toward this guest end: that concerns what comes from the other one. */
  drain(): void {
    this.other?.pump();
  }
  closed(errno: number): void {
    for (const chunk of this.#waiting.splice(0)) chunk.release();
    if (errno !== 0) this.peer?.destroy();
    else this.peer?.end();
  }

  pump(): void {
    for (let first = this.#waiting[0]; first !== undefined && this.peer !== undefined; first = this.#waiting[0]) {
      this.#written += this.peer.write(first.bytes.subarray(this.#written));
      if (this.#written < first.bytes.length) return;
      this.#waiting.shift();
      this.#written = 0;
      first.release();
    }
    if (this.#ended === "yes" && this.#waiting.length === 0) this.peer?.end();
  }
}

function relayTo(device: VsockDevice, from: GuestStream): HostHandler {
  const outward = new Relay();
  const inward = new Relay();
  outward.other = inward;
  inward.other = outward;
  inward.peer = from;
  const to: GuestStream = device.connect(from.hostPort as Port, () => ({
    opened: () => {
      outward.peer = to;
      outward.pump();
    },
    data: (chunk) => inward.data(chunk),
    end: () => inward.end(),
    drain: () => inward.drain(),
    closed: (errno) => inward.closed(errno),
  }));
  return outward;
}

export async function createStack(options: LoopbackOptions = {}): Promise<Stack> {
  const loopback = await createLoopback(options);
  const clock = loopback.clock ?? new VirtualClock();
  loopback.device.listen("any", (stream) => relayTo(loopback.device, stream));
  const layer = new SocketLayer({ driver: loopback.driver, clock: options.clock ?? clock });
  return {
    loopback,
    clock,
    layer,
    relayCid: HOST_CID,
    async settle<T>(promise: Promise<T>): Promise<T> {
      let state: "waiting" | "settled" = "waiting";
      const settled = (): void => {
        state = "settled";
      };
      void promise.then(settled, settled);
      for (let quiet = 0; quiet < 100 && (state as string) === "waiting"; quiet++) {
        if ([loopback.driver.poll(), loopback.host.poll()].includes(true)) quiet = 0;
        await Promise.resolve();
      }
      if (state === "waiting") throw new Error("it still waits, and nothing moves any more");
      return promise;
    },
  };
}
