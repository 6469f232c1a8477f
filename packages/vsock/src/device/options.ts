/** How a device is made, and the numbers it works with. */
import { type Clock, type Log, silentLog } from "@toril/virtio/platform";
import type { Cid } from "../address.ts";
import { type CreditUpdates, MAX_WINDOW } from "../connection/credit.ts";
import { EPHEMERAL_PORTS, type PortRange } from "../connection/ephemeral-ports.ts";

export interface VsockDeviceOptions {
  readonly guestCid: Cid;
  readonly clock: Clock;
  readonly log?: Log;
  /** The receive window of each connection in bytes: what the host keeps at most for a slow handler; 256 KiB unless told. */
  readonly bufAlloc?: number;
  /** TX heads that one connection's handler may hold; 4 unless told. 0: every byte is copied to host memory. */
  readonly txHeadsPerConnection?: number;
  /** How long it may hold one before what follows is copied, in milliseconds; 5 unless told. */
  readonly holdMs?: number;
  /** Bytes that `write` takes beyond the guest's credit; 64 KiB unless told. */
  readonly queueBytes?: number;
  /** How long the host's own connections wait for the guest's answer; 2 s unless told. */
  readonly connectTimeoutMs?: number;
  /** How long an ended connection waits for the guest's RST; 8 s unless told. */
  readonly closeTimeoutMs?: number;
  /** Connections at a time; 4,096 unless told. More are refused. */
  readonly maxConnections?: number;
  /** Host ports for `connect`; 49152 to 65535 unless told. */
  readonly ephemeralPorts?: PortRange;
  /** Largest size of the RX and TX queues; 512 unless told. The driver may want less. */
  readonly queueSize?: number;
  /** When the peer hears of consumed bytes, if no packet goes its way anyhow; `half-window` unless told. */
  readonly creditUpdates?: CreditUpdates;
  /** For tests of the wrap-around: where the credit counters start, in place of 0. Both ends must agree. */
  readonly counterStart?: number;
}

/** The options with nothing left open. */
export interface DeviceSettings {
  readonly clock: Clock;
  readonly log: Log;
  readonly bufAlloc: number;
  readonly maxHeads: number;
  readonly holdMs: number;
  readonly queueBytes: number;
  readonly connectTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly maxConnections: number;
  readonly ephemeralPorts: PortRange;
  readonly creditUpdates: CreditUpdates;
  readonly counterStart: number;
}

/** @throws RangeError for options that make no sense. */
export function deviceSettings(options: VsockDeviceOptions): DeviceSettings {
  const settings: DeviceSettings = {
    clock: options.clock,
    log: options.log ?? silentLog,
    bufAlloc: options.bufAlloc ?? 262_144,
    maxHeads: options.txHeadsPerConnection ?? 4,
    holdMs: options.holdMs ?? 5,
    queueBytes: options.queueBytes ?? 65_536,
    connectTimeoutMs: options.connectTimeoutMs ?? 2000,
    closeTimeoutMs: options.closeTimeoutMs ?? 8000,
    maxConnections: options.maxConnections ?? 4096,
    ephemeralPorts: options.ephemeralPorts ?? EPHEMERAL_PORTS,
    creditUpdates: options.creditUpdates ?? "half-window",
    counterStart: options.counterStart ?? 0,
  };
  within("bufAlloc", settings.bufAlloc, 1, MAX_WINDOW);
  within("txHeadsPerConnection", settings.maxHeads, 0, 32_768);
  within("queueBytes", settings.queueBytes, 1, MAX_WINDOW);
  within("maxConnections", settings.maxConnections, 1, 0x7fff_ffff);
  return settings;
}

function within(name: string, value: number, first: number, last: number): void {
  if (Number.isInteger(value) && value >= first && value <= last) return;
  throw new RangeError(`${name} is ${value}: use a whole number from ${first} to ${last}`);
}
