/** Who keeps a back-end there, with a stand-in for its connection. */
import type { VhostUserTransport } from "@toril/vhost-user";
import { silentLog } from "@toril/virtio/platform";
import { afterEach, expect, test, vi } from "vitest";
import type { Seat } from "../seat.ts";
import { BackEndKeeper } from "./keepers.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A connection, and the driver on it. */
class Device {
  lost: string | undefined = undefined;
  failure: string | undefined = undefined;
  readonly said: string[] = [];
  /** What the next attempts to bring a driver up end with. */
  readonly outcomes: string[] = [];

  disconnect(reason: string): void {
    this.said.push(`disconnect: ${reason}`);
    this.lost = reason;
  }

  async reconnect(): Promise<void> {
    this.said.push("reconnect");
    this.lost = undefined;
  }

  async close(): Promise<void> {}

  async replace(connect: () => Promise<unknown>): Promise<void> {
    await connect();
    const outcome = this.outcomes.shift();
    this.failure = outcome;
    if (outcome !== undefined) throw new Error(outcome);
  }
}

let keeper: BackEndKeeper | undefined;
afterEach(() => keeper?.close());

function keep(device: Device): BackEndKeeper {
  const transport = device as unknown as VhostUserTransport;
  const seat: Seat = {
    get failure() {
      return device.failure;
    },
    replace: (connect) => device.replace(connect),
  };
  keeper = new BackEndKeeper(transport, "test device", silentLog);
  keeper.watch(seat);
  return keeper;
}

const eventually = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 30_000, interval: 5 });

test("regression: a driver that gave up its device, over a connection that stands, was left alone for ever", async () => {
  const device = new Device();
  const kept = keep(device);
  device.failure = "queue 1: an id that was never published";
  await eventually(() => expect(kept.stats()).toEqual({ reconnects: 1, lost: "no" }));
  expect(device.said).toEqual(["disconnect: queue 1: an id that was never published", "reconnect"]);
});

test("regression: a back-end that answers, but not as a device, was tried once only", async () => {
  const device = new Device();
  device.outcomes.push("INIT: EPROTO", "INIT: ETIMEDOUT");
  const kept = keep(device);
  device.lost = "it closed the socket";
  await eventually(() => expect(kept.stats()).toEqual({ reconnects: 1, lost: "no" }));
  expect(device.said).toEqual([
    "reconnect",
    "disconnect: INIT: EPROTO",
    "reconnect",
    "disconnect: INIT: ETIMEDOUT",
    "reconnect",
  ]);
});
