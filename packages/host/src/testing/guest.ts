/** For the tests of bridges: a guest with real rings, and sockets that are easy to wait for. */
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { Errno } from "@toril/virtio/platform";
import { port, type VsockConnection } from "@toril/vsock";
import type { VsockDevice } from "@toril/vsock/device";
import { createLoopback } from "@toril/vsock/testing";
import { nodeClock } from "../platform/node-clock.ts";

export interface TestGuest {
  readonly device: VsockDevice;
  readonly driver: Awaited<ReturnType<typeof createLoopback>>["driver"];
  stop(): void;
}

/** Driver and device are polled from the event loop, as a bridge needs it. */
export async function startGuest(): Promise<TestGuest> {
  const { device, driver, settle } = await createLoopback({ clock: nodeClock() });
  let running = true;
  const turn = (): void => {
    if (!running) return;
    settle();
    setImmediate(turn);
  };
  turn();
  const stop = (): void => {
    running = false;
  };
  return { device, driver, stop };
}

/** Calls `serve` with every connection to a port of the guest. */
export function guestListen(guest: TestGuest, number: number, serve: (connection: VsockConnection) => void): void {
  const listener = guest.driver.listen(port(number), 64);
  listener.onAcceptable = () => {
    for (let accepted = listener.tryAccept(); accepted !== undefined; accepted = listener.tryAccept()) serve(accepted);
  };
}

/** A guest program that keeps what it receives, sends what it has, and can be told when to end. */
export class GuestProgram {
  readonly connection: VsockConnection;
  receivedBytes = 0;
  ended = false;
  closed: number | undefined;
  /** Stop receiving: what comes stays in the window. */
  reading = true;
  #received: Buffer[] = [];
  #toSend: Uint8Array[] = [];
  #ending = false;

  constructor(connection: VsockConnection) {
    this.connection = connection;
    connection.listener = {
      onReadable: () => this.read(),
      onWritable: () => this.#write(),
      onClosed: (errno) => {
        this.closed = errno;
      },
    };
    this.read();
  }

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  send(bytes: Uint8Array | string): void {
    this.#toSend.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    this.#write();
  }

  end(): void {
    this.#ending = true;
    this.#write();
  }

  read(): void {
    const target = Buffer.alloc(65_536);
    while (this.reading && !this.ended) {
      const count = this.connection.tryRecv(target);
      if (count === -Errno.EAGAIN) return;
      if (count <= 0) {
        this.ended = true;
        return;
      }
      this.#received.push(Buffer.from(target.subarray(0, count)));
      this.receivedBytes += count;
    }
  }

  #write(): void {
    for (let first = this.#toSend[0]; first !== undefined; first = this.#toSend[0]) {
      const count = this.connection.trySend(first);
      if (count < 0) return;
      if (count === first.length) this.#toSend.shift();
      else this.#toSend[0] = first.subarray(count);
    }
    if (this.#ending) this.connection.shutdown("send");
    this.#ending = false;
  }
}

/** A client socket that keeps what it receives. */
export class Client {
  readonly socket: Socket;
  receivedBytes = 0;
  state: "open" | "ended" | "closed" | "reset" = "open";
  #received: Buffer[] = [];

  constructor(options: NetConnectOpts) {
    this.socket = connect({ allowHalfOpen: true, ...options });
    this.socket.on("data", (bytes) => {
      this.#received.push(bytes);
      this.receivedBytes += bytes.length;
    });
    this.socket.on("end", () => {
      this.state = "ended";
    });
    this.socket.on("error", () => {
      this.state = "reset";
    });
    this.socket.on("close", () => {
      if (this.state !== "reset") this.state = "closed";
    });
  }

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }
}

/** Waits until something is so. @throws Error when it never is */
export async function until(what: () => boolean, describe: () => string = () => what.toString()): Promise<void> {
  for (let i = 0; i < 20_000; i++) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`this never came true: ${describe()}`);
}

/** Bytes that show a shift or a mix-up. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    bytes[i] = state >> 16;
  }
  return bytes;
}
