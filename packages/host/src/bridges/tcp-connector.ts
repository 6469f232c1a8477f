/** vsock in the guest, TCP on the host: the guest's connections to certain ports go to targets that are listed here. */
import { connect, type Socket } from "node:net";
import { type Log, silentLog } from "@toril/virtio/platform";
import { port } from "@toril/vsock";
import type { GuestStream, HostHandler, VsockDevice } from "@toril/vsock/device";
import { type CloseOptions, Connections } from "./connections.ts";
import { type BridgeStats, emptyBridgeStats, SocketBridge } from "./socket-bridge.ts";

export interface TcpTarget {
  readonly host: string;
  readonly port: number;
}

export interface TcpConnectorOptions {
  readonly device: Pick<VsockDevice, "listen">;
  /** vsock port on the host's side → where it leads. The guest reaches nothing else. */
  readonly targets: ReadonlyMap<number, TcpTarget>;
  /** Connections at a time; 1,024 unless told. More are refused. */
  readonly maxConnections?: number;
  readonly log?: Log;
}

export class TcpConnector {
  readonly stats: BridgeStats = emptyBridgeStats();
  readonly #log: Log;
  readonly #maxConnections: number;
  readonly #connections = new Connections();
  readonly #stops: (() => void)[] = [];

  /** @throws RangeError for a port that is none; SystemError EADDRINUSE when a port has a handler already */
  constructor(options: TcpConnectorOptions) {
    this.#log = options.log ?? silentLog;
    this.#maxConnections = options.maxConnections ?? 1024;
    try {
      for (const [hostPort, target] of options.targets) {
        this.#stops.push(options.device.listen(port(hostPort), (stream) => this.#connect(stream, target)));
      }
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  get connections(): number {
    return this.#connections.size;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    this.#stop();
    await this.#connections.end(options);
  }

  #stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #connect(stream: GuestStream, target: TcpTarget): HostHandler | undefined {
    if (this.#connections.size >= this.#maxConnections) return undefined;
    const socket: Socket = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true });
    socket.pause();
    this.#connections.add(socket);
    socket.once("error", (error) => {
      this.#log.warn("a target could not be reached", { host: target.host, port: target.port, reason: error.message });
    });
    return new SocketBridge({ socket, stream, stats: this.stats });
  }
}
