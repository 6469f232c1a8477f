/**
 * A vsock driver that outlives its device: the device may go away, and another one take its place. That is to programs what
 * VIRTIO_VSOCK_EVENT_TRANSPORT_RESET is (virtio 1.3 §5.10.6.7.1): connections end (ENETDOWN), listening sockets stay, and
 * take connections again as soon as there is a device. While there is none, new calls end with ENETDOWN.
 */
import type { Transport } from "@toril/virtio";
import type {
  Cid,
  Port,
  VsockAddress,
  VsockConnection,
  VsockDriver,
  VsockDriverStats,
  VsockListener,
} from "@toril/vsock";

export interface ReplaceableVsockOptions {
  /** Brings a driver up. */
  readonly make: (transport: Transport) => Promise<VsockDriver>;
  /** Has it polled; returns what ends that. */
  readonly dedicate: (driver: VsockDriver) => () => void;
}

export class ReplaceableVsock implements VsockDriver {
  readonly #options: ReplaceableVsockOptions;
  readonly #listeners = new Set<LastingListener>();
  #driver: VsockDriver;
  #release: () => void;
  #closed: string | undefined;
  #replacing: Promise<void> = Promise.resolve();

  private constructor(options: ReplaceableVsockOptions, driver: VsockDriver) {
    this.#options = options;
    this.#driver = driver;
    this.#release = options.dedicate(driver);
  }

  static async create(transport: Transport, options: ReplaceableVsockOptions): Promise<ReplaceableVsock> {
    return new ReplaceableVsock(options, await options.make(transport));
  }

  get guestCid(): Cid {
    return this.#driver.guestCid;
  }

  /** Of the present driver. */
  get stats(): VsockDriverStats {
    return this.#driver.stats;
  }

  /** Only once it is closed: a device that is gone may come back. */
  get failure(): string | undefined {
    return this.#closed;
  }

  /** Why there is no device now. */
  get lost(): string | undefined {
    return this.#driver.failure;
  }

  listen(port: Port | undefined, backlog: number): VsockListener {
    const listener = new LastingListener(this.#driver.listen(port, backlog), backlog, () => {
      this.#listeners.delete(listener);
    });
    this.#listeners.add(listener);
    return listener;
  }

  connect(peer: VsockAddress, options?: { localPort?: Port; timeoutMs?: number }): VsockConnection {
    return this.#driver.connect(peer, options);
  }

  /** The present driver is polled by itself. */
  poll(): boolean {
    return false;
  }

  arm(): boolean {
    return false;
  }

  /**
   * Another device in the place of the one that is gone. What the old driver had of the heap is back before `connect` is
   * called.
   * @throws Error when it is closed; whatever `connect` throws, VirtioError and SystemError of the new device: then there is
   * no device until the next attempt
   */
  replace(connect: () => Promise<Transport>): Promise<void> {
    const replacing = this.#replacing.catch(() => {}).then(() => this.#replace(connect));
    this.#replacing = replacing;
    return replacing;
  }

  async #replace(connect: () => Promise<Transport>): Promise<void> {
    this.#mustBeOpen();
    await this.#driver.close();
    this.#release();
    this.#release = () => {};
    const transport = await connect();
    this.#mustBeOpen();
    this.#driver = await this.#options.make(transport);
    this.#release = this.#options.dedicate(this.#driver);
    for (const listener of this.#listeners) listener.moveTo(this.#driver);
  }

  async close(): Promise<void> {
    this.#closed ??= "the driver is closed";
    await this.#replacing.catch(() => {});
    for (const { onAcceptable } of this.#listeners) onAcceptable?.();
    await this.#driver.close();
  }

  #mustBeOpen(): void {
    if (this.#closed !== undefined) throw new Error("the guest shuts down: it takes no new device");
  }
}

/** Listens on the present driver, whichever that is. */
class LastingListener implements VsockListener {
  readonly port: Port;
  onAcceptable: (() => void) | undefined;
  readonly #backlog: number;
  readonly #onClose: () => void;
  #inner: VsockListener;

  constructor(inner: VsockListener, backlog: number, onClose: () => void) {
    this.port = inner.port;
    this.#backlog = backlog;
    this.#onClose = onClose;
    this.#inner = inner;
    this.#follow();
  }

  get pending(): number {
    return this.#inner.pending;
  }

  tryAccept(): VsockConnection | undefined {
    return this.#inner.tryAccept();
  }

  close(): void {
    this.#onClose();
    this.#inner.close();
  }

  moveTo(driver: VsockDriver): void {
    this.#inner = driver.listen(this.port, this.#backlog);
    this.#follow();
  }

  #follow(): void {
    this.#inner.onAcceptable = () => this.onAcceptable?.();
  }
}
