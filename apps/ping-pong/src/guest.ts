/**
 * The guest program: answers on a vsock port, a thread for each connection, through the socket calls. What it does for a
 * message that is measured is the `try…` calls, and a waiting call when those say "not now".
 */
import type { Sys } from "@toril/machine";
import type { DmaBuffer } from "@toril/memory";
import type { Socket } from "@toril/sockets";
import { Errno } from "@toril/virtio/platform";
import { BorrowedBytes } from "@toril/vsock";
import { ExtraCopies } from "./experiment/extra-copies.ts";
import { countedMessages, type Job, LENGTH_BYTES, type PongReport, readLength, Signal, writeLength } from "./job.ts";
import { Direction, fill, firstFault, Sink } from "./payload.ts";

interface GuestArgs {
  readonly port: number;
}

/** The program: until the machine stops. */
export async function answerJobs(sys: Sys): Promise<void> {
  const { port } = sys.args as GuestArgs;
  const server = sys.net.socket();
  sys.net.bind(server, port);
  sys.net.listen(server);
  sys.ready();
  for (;;) {
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    sys.threads.spawn((own) => answer(own, peer), { name: "ping-pong" });
  }
}

async function answer(sys: Sys, peer: Socket): Promise<void> {
  const { net } = sys;
  net.adopt(peer);
  const job = JSON.parse(sys.text.decode(await receiveText(sys, peer))) as Job;
  net.setOption(peer, "txPath", job.tx);
  // A round trip waits for each message: none may wait for company.
  net.setOption(peer, "noDelay", job.mode === "rtt");
  const end = new GuestEnd(sys, peer, job);
  try {
    await end.run();
  } finally {
    // A connection that has died gives back what was lent, too.
    await net.loansOver(peer);
    end.free();
    net.close(peer);
  }
}

async function receiveText(sys: Sys, peer: Socket): Promise<Uint8Array> {
  const length = await receiveAll(sys, peer, LENGTH_BYTES);
  return receiveAll(sys, peer, readLength(length));
}

async function receiveAll({ net }: Sys, peer: Socket, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let got = 0; got < length; ) {
    const count = await net.recv(peer, bytes.subarray(got));
    if (count === 0) throw new Error("the connection ended before its job was done");
    got += count;
  }
  return bytes;
}

class GuestEnd {
  readonly #sys: Sys;
  readonly #peer: Socket;
  readonly #job: Job;
  readonly #out: DmaBuffer;
  /** Absent when received bytes are borrowed. */
  readonly #in: DmaBuffer | undefined;
  readonly #inBytes: Uint8Array;
  readonly #extra: ExtraCopies | undefined;
  readonly #sink = new Sink();
  readonly #received: number[] = [];
  readonly #answered: number[] = [];
  readonly #borrowed = new BorrowedBytes();
  #tracing = false;
  #fault: string | undefined;

  constructor(sys: Sys, peer: Socket, job: Job) {
    this.#sys = sys;
    this.#peer = peer;
    this.#job = job;
    this.#out = allocate(sys, job.size);
    this.#in = job.mode === "rtt" && job.receive !== "borrow" ? allocate(sys, job.size) : undefined;
    this.#extra = job.receive === "three-copies" ? new ExtraCopies(job.size) : undefined;
    this.#inBytes = this.#in?.bytes ?? new Uint8Array(0);
    fill(this.#out.bytes, Direction.PONG, 0);
  }

  async run(): Promise<void> {
    const { net } = this.#sys;
    const job = this.#job;
    await this.#signal(Signal.READY);
    await this.#exchange(job.warmUp);
    await this.#expect(Signal.START);
    await this.#signal(Signal.GO);
    const before = this.#sys.stats();
    this.#tracing = job.trace === "on";
    await this.#exchange(countedMessages(job));
    // The other end says END when the last byte has arrived: until then there may be packets that have not been counted.
    await net.select({ read: [this.#peer] });
    const after = this.#sys.stats();
    await this.#expect(Signal.END);
    const report: PongReport = {
      ...{ before, after, received: this.#received, answered: this.#answered },
      ...(this.#fault === undefined ? {} : { fault: this.#fault }),
    };
    const text = this.#sys.text.encode(JSON.stringify(report));
    const length = new Uint8Array(LENGTH_BYTES);
    writeLength(length, text.length);
    await net.send(this.#peer, length);
    await net.send(this.#peer, text);
    net.flush(this.#peer);
    // The other end closes first: what was sent is there then.
    await net.recv(this.#peer, new Uint8Array(1)).catch(() => 0);
  }

  /** Once nothing of them is lent. */
  free(): void {
    this.#out.free();
    this.#in?.free();
  }

  async #exchange(messages: number): Promise<void> {
    const { mode, payload } = this.#job;
    for (let message = 0; message < messages; message++) {
      if (mode === "rtt") {
        if (this.#in === undefined) await this.#borrowMessage(message);
        else await this.#copyMessage(message);
        if (this.#tracing) this.#received.push(this.#sys.clock.now());
      }
      if (payload === "checked") await this.#renew(message);
      const sent = this.#trySend(0);
      if (sent < this.#job.size) await this.#sendRest(sent);
      if (this.#tracing) this.#answered.push(this.#sys.clock.now());
    }
    this.#sys.net.flush(this.#peer);
  }

  /** Into our own buffer. */
  async #copyMessage(message: number): Promise<void> {
    const { net } = this.#sys;
    const { size } = this.#job;
    for (let got = 0; got < size; ) {
      const target = got === 0 ? this.#inBytes : this.#inBytes.subarray(got);
      let count = net.tryRecv(this.#peer, target);
      if (count === -Errno.EAGAIN) count = await net.recv(this.#peer, target);
      if (count <= 0) throw new Error("the connection ended in the middle of a message");
      if (this.#job.payload !== "unread") this.#look(target.subarray(0, count), message, got);
      this.#extra?.copy(target.subarray(0, count));
      got += count;
    }
  }

  /** Where the device has put them. */
  async #borrowMessage(message: number): Promise<void> {
    const { net } = this.#sys;
    const { size } = this.#job;
    const own = this.#borrowed;
    for (let got = 0; got < size; ) {
      const count = net.tryBorrowInto(this.#peer, own);
      const run = count === -Errno.EAGAIN ? await net.borrow(this.#peer) : count > 0 ? own : undefined;
      if (run === undefined) throw new Error("the connection ended in the middle of a message");
      const { length } = run;
      if (this.#job.payload !== "unread") this.#look(run.bytes, message, got);
      run.release();
      got += length;
    }
  }

  #look(part: Uint8Array, message: number, offset: number): void {
    if (this.#job.payload === "read") {
      this.#sink.take(part);
      return;
    }
    const fault = firstFault(part, Direction.PING, message, offset);
    if (fault >= 0) this.#fault ??= `byte ${fault} of message ${message} arrived with another value`;
  }

  /** Other bytes for the next message, when nobody reads the last one's any more. */
  async #renew(message: number): Promise<void> {
    await this.#sys.net.loansOver(this.#peer);
    fill(this.#out.bytes, Direction.PONG, message);
  }

  /** @returns how many bytes of the message from `offset` on were taken; 0: none now */
  #trySend(offset: number): number {
    const count = this.#sys.net.trySendBuffer(this.#peer, this.#out, offset, this.#job.size - offset);
    if (count >= 0) return count;
    if (count === -Errno.EAGAIN) return 0;
    throw new Error(`a send failed with errno ${-count}`);
  }

  async #sendRest(sent: number): Promise<void> {
    const slice = { buffer: this.#out, offset: sent, length: this.#job.size - sent };
    await this.#sys.net.sendBuffer(this.#peer, slice);
  }

  async #signal(signal: number): Promise<void> {
    await this.#sys.net.send(this.#peer, Uint8Array.of(signal));
    this.#sys.net.flush(this.#peer);
  }

  async #expect(signal: number): Promise<void> {
    const [byte] = await receiveAll(this.#sys, this.#peer, 1);
    if (byte !== signal) throw new Error(`a byte ${byte} where ${signal} was due: the other end is out of step`);
  }
}

function allocate({ memory }: Sys, size: number): DmaBuffer {
  // A message of one byte is a buffer of some: lent buffers begin at a cache line.
  const buffer = memory.allocate(size, 64);
  if (buffer === undefined) throw new Error(`no guest memory for a message of ${size} bytes: try smaller --sizes`);
  return buffer;
}
