/**
 * A back-end that does what a script says, for tests of front-ends: it speaks the protocol as far as it is not told
 * otherwise, serves no device, and keeps what it was given.
 */
import { Feature, featureBit } from "@toril/virtio";
import { Eventfd } from "../ffi/eventfd.ts";
import { libc } from "../ffi/libc.ts";
import { sendBytes } from "../ffi/unix-socket.ts";
import { PROTOCOL_FEATURES_BIT, ProtocolFeature, protocolBits, Request } from "../protocol/message.ts";
import { type Message, MessageSocket } from "../protocol/message-socket.ts";
import { configSpace, readConfigSpace, readU64, readVringState, u64, vringState } from "../protocol/payloads.ts";
import { listenForTest, type TestListener } from "./listener.ts";

/** What to do about one request, in place of the right thing. */
export type Act =
  | { readonly kind: "silence" | "close" | "refuse" }
  /** These bytes, whatever they are, with descriptors or without. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly fds?: number };

export interface FakeScript {
  /** Features, bit 30 included; VERSION_1 and bit 30 unless told. */
  readonly features?: bigint;
  readonly protocol?: bigint;
  readonly queues?: number;
  /** By request number. */
  readonly acts?: Readonly<Record<number, Act>>;
}

const { MQ, REPLY_ACK, CONFIG } = ProtocolFeature;
const FEATURES = featureBit(Feature.VERSION_1) | PROTOCOL_FEATURES_BIT;
const NEED_ANSWERS: readonly number[] = [
  Request.GetFeatures,
  Request.GetProtocolFeatures,
  Request.GetQueueNum,
  Request.GetConfig,
  Request.GetVringBase,
];

export class FakeBackEnd {
  readonly #listener: TestListener;
  readonly #sockets = new Map<MessageSocket, number>();
  readonly #calls = new Map<number, Eventfd>();
  readonly #errors = new Map<number, Eventfd>();
  script: FakeScript;
  /** Requests received, in order. */
  readonly received: Message[] = [];

  constructor(script: FakeScript = {}) {
    this.script = script;
    this.#listener = listenForTest((fd) => {
      const socket: MessageSocket = new MessageSocket(fd, {
        message: (message) => this.#received(socket, message),
        ended: () => void this.#sockets.delete(socket),
      });
      this.#sockets.set(socket, fd);
    });
  }

  get path(): string {
    return this.#listener.path;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** A used buffer notification. */
  interrupt(queue: number): void {
    this.#calls.get(queue)?.ring();
  }

  /** An error of a queue. */
  fail(queue: number): void {
    this.#errors.get(queue)?.ring();
  }

  /** Says something that nobody asked for. */
  say(bytes: Uint8Array): void {
    for (const fd of this.#sockets.values()) sendBytes(fd, bytes, []);
  }

  /** As a daemon that was killed: all that it had is closed. */
  die(): void {
    for (const socket of this.#sockets.keys()) socket.close();
    this.#sockets.clear();
    for (const eventfd of [...this.#calls.values(), ...this.#errors.values()]) eventfd.close();
    this.#calls.clear();
    this.#errors.clear();
  }

  close(): void {
    this.die();
    this.#listener.close();
  }

  #received(socket: MessageSocket, message: Message): void {
    this.received.push(message);
    this.#keep(message);
    const act = this.script.acts?.[message.request];
    switch (act?.kind) {
      case "silence":
        return;
      case "close":
        this.die();
        return;
      case "bytes": {
        const fds = Array.from({ length: act.fds ?? 0 }, () => libc().createEventfd());
        sendBytes(this.#sockets.get(socket) ?? -1, act.bytes, fds);
        for (const fd of fds) libc().close(fd);
        return;
      }
      case "refuse":
        socket.send(message.request, u64(1n), "reply");
        return;
      case undefined: {
        const answer = this.#answer(message);
        if (answer !== undefined) socket.send(message.request, answer, "reply");
        return;
      }
      default:
        act satisfies never;
    }
  }

  #keep({ request, payload, fds }: Message): void {
    const [fd, ...rest] = fds;
    const kept = { [Request.SetVringCall]: this.#calls, [Request.SetVringErr]: this.#errors }[request];
    if (kept === undefined || fd === undefined) {
      for (const one of fds) libc().close(one);
      return;
    }
    for (const one of rest) libc().close(one);
    const queue = Number(readU64(payload) ?? 0n);
    kept.get(queue)?.close();
    kept.set(queue, new Eventfd(fd));
  }

  #answer({ request, kind, payload }: Message): Uint8Array | undefined {
    const { features = FEATURES, protocol = protocolBits(MQ, REPLY_ACK, CONFIG), queues = 1 } = this.script;
    if (!NEED_ANSWERS.includes(request)) return kind === "request-with-ack" ? u64(0n) : undefined;
    switch (request) {
      case Request.GetFeatures:
        return u64(features);
      case Request.GetProtocolFeatures:
        return u64(protocol);
      case Request.GetQueueNum:
        return u64(BigInt(queues));
      case Request.GetConfig: {
        const asked = readConfigSpace(payload);
        return asked === undefined ? new Uint8Array(0) : configSpace(asked.offset, asked.bytes.fill(7));
      }
      default:
        return vringState(readVringState(payload)?.index ?? 0, 0);
    }
  }
}
