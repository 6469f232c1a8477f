/**
 * A vsock device that takes any connection and sends all bytes back, without allocating anything per packet: whatever is
 * allocated while it runs is the driver's doing. One connection at a time, and no credit of its own: its peer must read.
 */
import { addressAt } from "@toril/memory";
import { type Device, type DeviceContext, DeviceType } from "@toril/virtio";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { HEADER_SIZE, PacketHeader, readHeader, writeHeader } from "../wire/header.ts";
import { Op, QueueIndex } from "../wire/ops.ts";

const WINDOW = 1_048_576;

interface Active {
  readonly context: DeviceContext;
  readonly tx: DeviceQueue;
  readonly rx: DeviceQueue;
  readonly from: Chain;
  readonly to: Chain;
}

export class MirrorDevice implements Device {
  readonly type: number = DeviceType.Vsock;
  readonly offeredFeatures: bigint = 1n;
  readonly queueMaxSizes: readonly number[] = [64, 64, 16];
  readonly #header = new PacketHeader();
  #active: Active | undefined;
  #received = 0;

  readConfig(): Uint8Array {
    return Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0);
  }

  activate(context: DeviceContext): void {
    const tx = context.queues[QueueIndex.Tx];
    const rx = context.queues[QueueIndex.Rx];
    if (tx === undefined || rx === undefined) return;
    this.#active = { context, tx, rx, from: tx.createChain(), to: rx.createChain() };
  }

  reset(): void {
    this.#active = undefined;
    this.#received = 0;
  }

  poll(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    let worked = false;
    while (active.tx.next(active.from)) {
      worked = true;
      this.#packet(active);
      active.tx.complete(active.from.head, 0);
    }
    if (active.tx.publish()) active.context.interrupt(QueueIndex.Tx);
    if (active.rx.publish()) active.context.interrupt(QueueIndex.Rx);
    return worked;
  }

  arm(): boolean {
    return this.#active?.tx.armAvailableNotifications() ?? false;
  }

  #packet(active: Active): void {
    const header = this.#header;
    readHeader(active.tx.memory, active.from.address(0), header);
    if (header.op === Op.Request) this.#answer(active, Op.Response);
    else if (header.op === Op.Shutdown) this.#answer(active, Op.Rst);
    else if (header.op === Op.Rw) this.#answer(active, Op.Rw);
  }

  #answer({ tx, rx, from, to }: Active, op: number): void {
    const header = this.#header;
    // The guest has given enough buffers, or the mirror is blind: it is for lock-step tests.
    if (!rx.next(to)) return;
    const { srcPort, dstPort, len } = header;
    header.srcCid = 2;
    header.dstCid = 3;
    header.srcPort = dstPort;
    header.dstPort = srcPort;
    header.op = op;
    header.flags = 0;
    header.bufAlloc = WINDOW;
    if (op === Op.Rw) {
      this.#received = (this.#received + len) >>> 0;
      let at = addressAt(to.address(0), HEADER_SIZE);
      for (let i = 0, skip = HEADER_SIZE; i < from.readableCount; i++, skip = 0) {
        const length = from.length(i) - skip;
        if (length <= 0) continue;
        tx.memory.copy(at, addressAt(from.address(i), skip), length);
        at = addressAt(at, length);
      }
    }
    header.fwdCnt = this.#received;
    writeHeader(rx.memory, to.address(0), header);
    rx.complete(to.head, HEADER_SIZE + (op === Op.Rw ? len : 0));
  }
}
