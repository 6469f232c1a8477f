/**
 * One front-end, served: vhost-user messages in, a `Device` behind. A message is checked, carried out, and answered; what
 * the protocol does not allow ends the session.
 *
 * What is not there yet: INFLIGHT_SHMFD, memory slots, and stopping one queue while the others go on (the device is
 * stopped as a whole, and starts again with those that are left).
 */
import { type Device, DeviceStatus } from "@toril/virtio";
import { type Log, silentLog } from "@toril/virtio/platform";
import { isEventfd } from "../ffi/eventfd.ts";
import { LibcError, libc } from "../ffi/libc.ts";
import * as m from "../protocol/message.ts";
import { type Message, MessageSocket } from "../protocol/message-socket.ts";
import * as payloads from "../protocol/payloads.ts";
import { Ring } from "./rings.ts";
import { ServedDevice } from "./served-device.ts";
import { SharedMemory } from "./shared-memory.ts";

export interface SessionOptions {
  /** A connected socket, owned from now on. */
  readonly fd: number;
  readonly device: Device;
  readonly log?: Log;
  /** Protocol features to offer; all that are known unless told. */
  readonly protocolFeatures?: bigint;
  readonly onEnd?: (reason: string) => void;
}

/** How a request ended: `refused` is told where the front-end asked, a `violation` ends the session. */
type Outcome =
  | { readonly kind: "done" | "refused" }
  | { readonly kind: "reply"; readonly payload: Uint8Array }
  | { readonly kind: "violation"; readonly reason: string };

const { MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE, STATUS } = m.ProtocolFeature;
export const BACK_END_FEATURES: bigint = m.protocolBits(MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE, STATUS);

const DONE: Outcome = { kind: "done" };
const REFUSED: Outcome = { kind: "refused" };
const { DRIVER_OK, FEATURES_OK } = DeviceStatus;
/** More than a front-end says before its first kick: one that never stops speaking is left to the event loop. */
const MAX_PUMPS = 64;

export class BackEndSession {
  readonly #socket: MessageSocket;
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #protocolOffered: bigint;
  readonly #rings: readonly Ring[];
  readonly #served: ServedDevice;
  #protocol = 0n;
  #features = 0n;
  #status = 0;
  #memory: SharedMemory | undefined;
  #channel: MessageSocket | undefined;
  #state: "open" | "closed" = "open";

  constructor(options: SessionOptions) {
    const { fd, device, log = silentLog } = options;
    this.#options = options;
    this.#log = log;
    this.#protocolOffered = options.protocolFeatures ?? BACK_END_FEATURES;
    this.#rings = device.queueMaxSizes.map(() => new Ring());
    this.#served = new ServedDevice({ device, log, rings: this.#rings, announce: () => this.#announce() });
    this.#socket = new MessageSocket(fd, {
      message: (message) => this.#received(message),
      ended: (reason) => this.close(reason),
    });
  }

  /** Ends the session: the device is reset, memory unmapped, every descriptor closed. */
  close(reason = "it was closed"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#served.deactivate();
    for (const ring of this.#rings) ring.stop();
    this.#channel?.close();
    this.#socket.close();
    this.#memory?.close();
    this.#memory = undefined;
    this.#options.onEnd?.(reason);
  }

  #received(message: Message): void {
    const kept = new Set<number>();
    const outcome = this.#carryOut(message, kept);
    for (const fd of message.fds) if (!kept.has(fd)) libc().close(fd);
    if (outcome.kind === "violation") {
      this.#log.warn("a front-end broke the protocol", {
        message: m.requestName(message.request),
        why: outcome.reason,
      });
      this.close(outcome.reason);
      return;
    }
    if (outcome.kind === "reply") this.#send(message.request, outcome.payload);
    else if (message.kind === "request-with-ack") {
      this.#send(message.request, payloads.u64(outcome.kind === "done" ? 0n : 1n));
    }
  }

  /** @param kept gets the descriptors that somebody owns now */
  #carryOut(message: Message, kept: Set<number>): Outcome {
    const { payload, fds } = message;
    const { host } = this.#served;
    const { Request } = m;
    if (message.kind === "reply") return violation("an answer to nothing");
    switch (message.request) {
      case Request.SetOwner:
        return DONE;
      case Request.GetFeatures:
        return number(host.offeredFeatures | m.PROTOCOL_FEATURES_BIT);
      case Request.SetFeatures:
        return this.#setFeatures(payload);
      case Request.GetProtocolFeatures:
        return number(this.#protocolOffered);
      case Request.SetProtocolFeatures:
        return this.#setProtocolFeatures(payload);
      case Request.GetQueueNum:
        return number(BigInt(this.#rings.length));
      case Request.SetBackendReqFd:
        return this.#setChannel(fds, kept);
      case Request.GetConfig: {
        const asked = payloads.readConfigSpace(payload);
        if (asked === undefined) return violation("no config space description");
        const bytes = host.readConfig(asked.offset, asked.bytes.length);
        return { kind: "reply", payload: payloads.configSpace(asked.offset, bytes) };
      }
      case Request.SetConfig: {
        const written = payloads.readConfigSpace(payload);
        if (written === undefined) return violation("no config space description");
        return host.writeConfig(written.offset, written.bytes) === undefined ? DONE : REFUSED;
      }
      case Request.SetMemTable:
        return this.#setMemory(payload, fds);
      case Request.ResetDevice:
        this.#reset();
        return DONE;
      case Request.SetStatus:
        return this.#setStatus(payload);
      case Request.GetStatus:
        return number(BigInt(this.#status | this.#served.needsReset));
      default:
        return this.#ringRequest(message, kept);
    }
  }

  #ringRequest({ request, payload, fds }: Message, kept: Set<number>): Outcome {
    const { Request } = m;
    const address = request === Request.SetVringAddr ? payloads.readVringAddress(payload) : undefined;
    const state = payloads.readVringState(payload);
    const number = payloads.readU64(payload);
    const descriptor =
      request === Request.SetVringKick || request === Request.SetVringCall || request === Request.SetVringErr;
    const index = descriptor ? Number((number ?? 0xffn) & payloads.VRING_INDEX_MASK) : (address ?? state)?.index;
    const ring = index === undefined ? undefined : this.#rings[index];
    if (ring === undefined || index === undefined) return violation(`there are ${this.#rings.length} queues`);
    if (descriptor && !fds.every(isEventfd)) return violation("a doorbell that is no eventfd");
    const take = (): number | undefined => {
      const [fd] = fds;
      if (fd !== undefined) kept.add(fd);
      return fd;
    };
    switch (request) {
      case Request.SetVringNum:
        if (state === undefined || state.value > this.#served.registers.maxQueueSize(index)) return REFUSED;
        ring.size = state.value;
        return DONE;
      case Request.SetVringBase:
        ring.base = (state?.value ?? 0) & 0xffff;
        return DONE;
      case Request.SetVringAddr:
        ring.address = address;
        return this.#memory !== undefined && ring.layout(this.#memory) !== undefined ? DONE : REFUSED;
      case Request.SetVringKick:
        ring.setKick(take(), () => this.#kicked(index));
        return DONE;
      case Request.SetVringCall:
        ring.setCall(take());
        return DONE;
      case Request.SetVringErr:
        ring.setError(take());
        return DONE;
      case Request.SetVringEnable:
        return this.#setEnabled(ring, state?.value === 1 ? "enabled" : "disabled");
      case Request.GetVringBase: {
        const base = this.#stop(ring);
        return { kind: "reply", payload: payloads.vringState(index, base) };
      }
      default:
        return violation("a request that is not known here");
    }
  }

  #setFeatures(payload: Uint8Array): Outcome {
    const features = payloads.readU64(payload);
    if (features === undefined) return violation("no features");
    this.#features = features & ~m.PROTOCOL_FEATURES_BIT;
    return this.#served.accepts(this.#features) ? DONE : REFUSED;
  }

  #setProtocolFeatures(payload: Uint8Array): Outcome {
    const features = payloads.readU64(payload);
    if (features === undefined || (features & ~this.#protocolOffered) !== 0n) return violation("features not offered");
    this.#protocol = features;
    return DONE;
  }

  #setChannel(fds: readonly number[], kept: Set<number>): Outcome {
    const [fd] = fds;
    if (fd === undefined || this.#channel !== undefined) return violation("one descriptor is wanted, once");
    kept.add(fd);
    this.#channel = new MessageSocket(fd, {
      message: ({ fds: surplus }) => {
        for (const one of surplus) libc().close(one);
      },
      ended: () => {},
    });
    return DONE;
  }

  #setMemory(payload: Uint8Array, fds: readonly number[]): Outcome {
    const table = payloads.readMemoryTable(payload);
    if (table === undefined) return violation("no memory table");
    const memory = SharedMemory.map(table, fds);
    if (typeof memory === "string") {
      this.#log.warn("a front-end's memory cannot be mapped", { why: memory });
      return REFUSED;
    }
    this.#served.deactivate();
    this.#memory?.close();
    this.#memory = memory;
    return DONE;
  }

  #setStatus(payload: Uint8Array): Outcome {
    const written = payloads.readU64(payload);
    if (written === undefined || written > 0xffn) return violation("no status");
    const status = Number(written);
    if (status === 0) {
      this.#reset();
      return DONE;
    }
    const asksFeatures = (status & ~this.#status & FEATURES_OK) !== 0;
    const accepted = !asksFeatures || this.#served.accepts(this.#features);
    this.#status = accepted ? status : status & ~FEATURES_OK;
    if ((this.#status & DRIVER_OK) !== 0) this.#activate();
    return accepted ? DONE : REFUSED;
  }

  #setEnabled(ring: Ring, enabled: "enabled" | "disabled"): Outcome {
    if (ring.enabled === enabled) return DONE;
    ring.enabled = enabled;
    // A queue more, or one less: the device starts again with those that there are, when one of them is kicked.
    this.#served.deactivate();
    return DONE;
  }

  /** Where the ring stands now. */
  #stop(ring: Ring): number {
    this.#served.deactivate();
    ring.stop();
    return ring.base;
  }

  #reset(): void {
    this.#served.deactivate();
    this.#served.registers.reset();
    this.#status = 0;
    this.#features = 0n;
  }

  #kicked(index: number): void {
    // What was said before the kick comes before it: all rings may be ready only by then.
    for (let i = 0; i < MAX_PUMPS && this.#socket.pump(); i++);
    const statusDecides = (this.#protocol & m.protocolBits(STATUS)) !== 0n;
    if (!statusDecides) this.#activate();
    this.#served.notify(index);
  }

  #activate(): void {
    if (this.#memory !== undefined) this.#served.activate(this.#features, this.#memory);
  }

  /** Config space has changed, or the device needs a reset. */
  #announce(): void {
    if (this.#channel?.open !== true) return;
    try {
      this.#channel.send(m.BackendRequest.ConfigChange, new Uint8Array(0), "request");
    } catch (error) {
      if (!(error instanceof LibcError)) throw error; // the front-end does not listen any more
    }
  }

  #send(request: number, payload: Uint8Array): void {
    try {
      if (this.#socket.send(request, payload, "reply") === "sent") return;
      this.close("the front-end does not read its answers");
    } catch (error) {
      if (!(error instanceof LibcError)) throw error;
      this.close(`the front-end is gone: ${error.message}`);
    }
  }
}

function number(value: bigint): Outcome {
  return { kind: "reply", payload: payloads.u64(value) };
}

function violation(reason: string): Outcome {
  return { kind: "violation", reason };
}
