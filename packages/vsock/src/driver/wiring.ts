/** The parts of a driver, and what each needs of the others. The one place that knows all of them. */
import type { InitializedDevice, InterruptFlags } from "@toril/virtio";
import type { Cid } from "../address.ts";
import { QueueIndex } from "../wire/ops.ts";
import { News } from "./connection.ts";
import { Connections, type Identity } from "./connections.ts";
import type { EventRing } from "./event-ring.ts";
import type { Listener } from "./listener.ts";
import { LoanDesk } from "./loans.ts";
import type { DriverSettings } from "./options.ts";
import type { PacketPool } from "./packet-pool.ts";
import { Receiver } from "./receiver.ts";
import { Reporter } from "./reporter.ts";
import type { RxRing } from "./rx-ring.ts";
import type { MutableStats } from "./stats.ts";
import type { Token } from "./token.ts";
import { Transmitter } from "./transmitter.ts";
import type { TxRing } from "./tx-ring.ts";

/** What `createVsockDriver` has set up. */
export interface DriverParts {
  readonly settings: DriverSettings;
  readonly device: InitializedDevice<Token>;
  readonly interrupts: InterruptFlags;
  readonly guestCid: Cid;
  readonly rx: RxRing;
  readonly tx: TxRing;
  readonly events: EventRing;
  readonly packets: PacketPool;
  readonly ringBuffers: PacketPool;
  readonly stats: MutableStats;
  readonly wake: () => void;
}

/** What moves packets, and what knows the connections. */
export interface Wired {
  readonly identity: Identity;
  readonly reporter: Reporter;
  readonly connections: Connections;
  readonly transmitter: Transmitter;
  readonly receiver: Receiver;
}

/** @param publish shows the device what was handed over */
export function wire(parts: DriverParts, listeners: ReadonlyMap<number, Listener>, publish: () => void): Wired {
  const { settings, device, rx, tx, packets, ringBuffers, stats, wake } = parts;
  const identity: Identity = { cid: parts.guestCid };
  const reporter = new Reporter(settings.log);
  const loanDesk = new LoanDesk((onReturned) => reporter.returned(onReturned));
  const connections = new Connections(
    {
      ...{ memory: device.transport.memory, stats, loanDesk, runsPerPacket: settings.txSegments - 1 },
      repost: (buffer) => rx.post(buffer),
      takePacket: (payload) => packets.take(payload),
      offerPacket: (payload) => packets.offer(payload),
      enlist: (connection) => connections.settle(connection),
      sendNow: (connection) => transmitter.sendNow(connection),
      blockedOn: (connection, what) => transmitter.blockedOn(connection, what),
      announce: (connection, news) => reporter.announce(connection, news),
      chunkReturned: (chunk) => transmitter.chunkReturned(chunk),
      loansReturned: (connection) => reporter.announce(connection, News.Returned),
      signalled: (connection, signals) => connections.signalled(connection, signals),
    },
    ...([settings, stats, identity, reporter, wake] as const),
  );
  const transmitter: Transmitter = new Transmitter({
    ...{ settings, tx, packets, ringBuffers, stats, identity, connections, loanDesk, reporter, wake, publish },
    queue: device.queue(QueueIndex.Tx),
  });
  const { owedResets } = transmitter;
  const receiver = new Receiver({
    ...{ settings, rx, stats, identity, connections, owedResets, reporter, listeners },
    queue: device.queue(QueueIndex.Rx),
  });
  return { identity, reporter, connections, transmitter, receiver };
}
