/**
 * The connections of one driver or device, found by (peer CID, peer port, local port): each part matters, since two peers
 * may use the same port, and one peer may connect twice to the same port of ours. A hash table of chains, because a key
 * of three numbers would cost a string per packet in a Map.
 */
export interface TableEntry {
  readonly peerCid: number;
  readonly peerPort: number;
  readonly localPort: number;
}

interface Node<T> {
  readonly entry: T;
  next: Node<T> | undefined;
}

const FIRST_BUCKETS = 64;

export class ConnectionTable<T extends TableEntry> {
  #buckets: (Node<T> | undefined)[] = new Array<Node<T> | undefined>(FIRST_BUCKETS).fill(undefined);
  #size = 0;
  readonly #localPorts = new Map<number, number>();

  get size(): number {
    return this.#size;
  }

  find(peerCid: number, peerPort: number, localPort: number): T | undefined {
    let node = this.#buckets[this.#bucket(peerCid, peerPort, localPort)];
    while (node !== undefined) {
      const { entry } = node;
      if (entry.localPort === localPort && entry.peerPort === peerPort && entry.peerCid === peerCid) return entry;
      node = node.next;
    }
    return undefined;
  }

  /** @throws RangeError when the three are in the table already. */
  add(entry: T): void {
    const { peerCid, peerPort, localPort } = entry;
    if (this.find(peerCid, peerPort, localPort) !== undefined) {
      throw new RangeError(`there is a connection from port ${localPort} to ${peerCid}:${peerPort} already`);
    }
    if (this.#size >= this.#buckets.length) this.#grow();
    const bucket = this.#bucket(peerCid, peerPort, localPort);
    this.#buckets[bucket] = { entry, next: this.#buckets[bucket] };
    this.#size++;
    this.#localPorts.set(localPort, (this.#localPorts.get(localPort) ?? 0) + 1);
  }

  /** Whether it was there. */
  remove(entry: T): boolean {
    const bucket = this.#bucket(entry.peerCid, entry.peerPort, entry.localPort);
    let before: Node<T> | undefined;
    for (let node = this.#buckets[bucket]; node !== undefined; before = node, node = node.next) {
      if (node.entry !== entry) continue;
      if (before === undefined) this.#buckets[bucket] = node.next;
      else before.next = node.next;
      this.#size--;
      const users = (this.#localPorts.get(entry.localPort) ?? 0) - 1;
      if (users > 0) this.#localPorts.set(entry.localPort, users);
      else this.#localPorts.delete(entry.localPort);
      return true;
    }
    return false;
  }

  /** Whether some connection has this port on our side. */
  usesLocalPort(port: number): boolean {
    return this.#localPorts.has(port);
  }

  /** A snapshot: connections may come and go while it is walked. */
  all(): T[] {
    const entries: T[] = [];
    for (const first of this.#buckets) {
      for (let node = first; node !== undefined; node = node.next) entries.push(node.entry);
    }
    return entries;
  }

  #bucket(peerCid: number, peerPort: number, localPort: number): number {
    let hash = Math.imul(peerPort ^ Math.imul(localPort, 0x9e37_79b1), 0x85eb_ca6b) ^ Math.imul(peerCid, 0xc2b2_ae35);
    hash ^= hash >>> 15;
    return (Math.imul(hash, 0x2c1b_3c6d) >>> 7) & (this.#buckets.length - 1);
  }

  #grow(): void {
    const entries = this.all();
    this.#buckets = new Array<Node<T> | undefined>(this.#buckets.length * 2).fill(undefined);
    for (const entry of entries) {
      const bucket = this.#bucket(entry.peerCid, entry.peerPort, entry.localPort);
      this.#buckets[bucket] = { entry, next: this.#buckets[bucket] };
    }
  }
}
