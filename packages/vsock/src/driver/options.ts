/** How a driver is made, and the numbers it works with. */
import type { DmaAllocator } from "@toril/memory";
import type { QueueTap, Transport } from "@toril/virtio";
import { type Clock, type Doorbell, type Log, silentLog } from "@toril/virtio/platform";
import { type CreditUpdates, MAX_WINDOW } from "../connection/credit.ts";
import { EPHEMERAL_PORTS, type PortRange } from "../connection/ephemeral-ports.ts";
import type { TxPath } from "./api.ts";

/** Memory for indirect tables is 16 bytes × this × the queue size: 256 KiB for 256 entries. */
const MAX_SEGMENTS = 64;

export interface VsockDriverOptions {
  readonly transport: Transport;
  /** Where rings, receive buffers and packets come from. */
  readonly allocator: DmaAllocator;
  readonly clock: Clock;
  readonly log?: Log;
  /** Wakes the loop that polls this driver; none when that loop never sleeps. */
  readonly doorbell?: Doorbell;
  /** The transmit path of new connections; `one-copy` unless told. */
  readonly txPath?: TxPath;
  /** The receive window of new connections in bytes; 256 KiB unless told, as Linux has it. */
  readonly bufAlloc?: number;
  /** Receive buffers kept in the RX ring; 64 unless told. */
  readonly rxBuffers?: number;
  /** Payload bytes that fit in one receive buffer; 32 KiB unless told. */
  readonly rxBufferSize?: number;
  /** Entries of the RX and TX queues, a power of two; 256 unless told; fewer when the device takes no more. */
  readonly queueSize?: number;
  /** Most guest memory for packets on their way out, in bytes; 4 MiB unless told. */
  readonly txMemory?: number;
  /**
   * Most descriptors of one packet on its way out, its header's included: 2 to 64. 2 unless told, which every device takes:
   * the Rust devices (Firecracker, vhost-device-vsock) expect the payload in one. With more, runs of bytes that are queued
   * one behind the other share a packet. Linux' device and ours take any number.
   */
  readonly txSegments?: number;
  /** How long `connect` waits for an answer unless told; 2 s, as Linux has it. */
  readonly connectTimeoutMs?: number;
  /** How long a closed connection waits for the peer's RST; 8 s, as Linux has it. */
  readonly closeTimeoutMs?: number;
  /** Connections at a time, those that are closing included; 8,192 unless told. More are refused. */
  readonly maxConnections?: number;
  /** The ports for those who do not care; 49152 to 65535 unless told. */
  readonly ephemeralPorts?: PortRange;
  /** Sees every packet; `vsockCapture` makes one that writes a file for Wireshark. */
  readonly tap?: QueueTap | undefined;
  /** When the peer hears of consumed bytes, if no packet goes its way anyhow; `half-window` unless told. */
  readonly creditUpdates?: CreditUpdates;
  /** For tests of the wrap-around: where the credit counters start, in place of 0. Both ends must agree. */
  readonly counterStart?: number;
}

export interface DriverSettings {
  readonly clock: Clock;
  readonly log: Log;
  readonly txPath: TxPath;
  readonly bufAlloc: number;
  readonly connectTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly maxConnections: number;
  readonly ephemeralPorts: PortRange;
  readonly creditUpdates: CreditUpdates;
  readonly counterStart: number;
  readonly rxBuffers: number;
  readonly rxBufferSize: number;
  readonly queueSize: number;
  readonly txMemory: number;
  readonly txSegments: number;
}

/** @throws RangeError for values that make no sense. */
export function settingsFrom(options: VsockDriverOptions): DriverSettings {
  const settings = {
    clock: options.clock,
    log: options.log ?? silentLog,
    txPath: options.txPath ?? "one-copy",
    bufAlloc: options.bufAlloc ?? 262_144,
    connectTimeoutMs: options.connectTimeoutMs ?? 2000,
    closeTimeoutMs: options.closeTimeoutMs ?? 8000,
    maxConnections: options.maxConnections ?? 8192,
    ephemeralPorts: options.ephemeralPorts ?? EPHEMERAL_PORTS,
    creditUpdates: options.creditUpdates ?? "half-window",
    counterStart: options.counterStart ?? 0,
    rxBuffers: options.rxBuffers ?? 64,
    rxBufferSize: options.rxBufferSize ?? 32_768,
    queueSize: options.queueSize ?? 256,
    txMemory: options.txMemory ?? 4_194_304,
    txSegments: options.txSegments ?? 2,
  };
  checkWindow(settings.bufAlloc);
  positive("rxBuffers", settings.rxBuffers);
  positive("rxBufferSize", settings.rxBufferSize);
  positive("txMemory", settings.txMemory);
  positive("maxConnections", settings.maxConnections);
  positive("txSegments", settings.txSegments);
  if (settings.txSegments < 2 || settings.txSegments > MAX_SEGMENTS) {
    throw new RangeError(`txSegments is ${settings.txSegments}: use 2 to ${MAX_SEGMENTS}`);
  }
  return settings;
}

/** @throws RangeError unless `bytes` can be a receive window. */
export function checkWindow(bytes: number): void {
  if (Number.isInteger(bytes) && bytes >= 1 && bytes <= MAX_WINDOW) return;
  throw new RangeError(`a receive window of ${bytes} bytes: use 1 to ${MAX_WINDOW}`);
}

function positive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} is ${value}: use a whole number from 1 up`);
}
