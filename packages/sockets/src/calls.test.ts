import { DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { Errno, SystemError } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import { BorrowedBytes } from "@toril/vsock";
import { beforeEach, describe, expect, it } from "vitest";
import { type OwnedSocketCalls, type SendError, type Socket, SocketLayer } from "./index.ts";
import { type MemoryDriver, MemoryNetwork } from "./testing/index.ts";

const HOST = 2;
const GUEST = 3;
const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);
const text = (part: Uint8Array): string => new TextDecoder().decode(part);

let network: MemoryNetwork;
let clock: VirtualClock;
let guestDriver: MemoryDriver;
let hostDriver: MemoryDriver;
let guestLayer: SocketLayer;
let guest: OwnedSocketCalls;
let host: OwnedSocketCalls;

beforeEach(() => {
  network = new MemoryNetwork();
  clock = new VirtualClock();
  guestDriver = network.driver(GUEST);
  hostDriver = network.driver(HOST);
  guestLayer = new SocketLayer({ driver: guestDriver, clock });
  guest = guestLayer.callsFor();
  host = new SocketLayer({ driver: hostDriver, clock }).callsFor();
});

function listening(calls: OwnedSocketCalls, port: number, backlog?: number): Socket {
  const socket = calls.socket();
  calls.bind(socket, port);
  calls.listen(socket, backlog);
  return socket;
}

/** A connected pair: the guest's accepted end and the host's end. */
async function pair(port = 80): Promise<{ mine: Socket; theirs: Socket; listener: Socket }> {
  const listener = listening(guest, port);
  const theirs = host.socket();
  const accepting = guest.accept(listener);
  await network.settle(host.connect(theirs, { cid: GUEST, port }));
  return { mine: await network.settle(accepting), theirs, listener };
}

async function errorOf(promise: Promise<unknown>): Promise<SystemError> {
  const outcome = await network.settle(
    promise.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  if (outcome instanceof SystemError) return outcome;
  throw new Error(`expected a SystemError, got ${String(outcome)}`);
}

async function received(calls: OwnedSocketCalls, socket: Socket): Promise<string> {
  const target = new Uint8Array(1024);
  const count = await network.settle(calls.recv(socket, target));
  return text(target.subarray(0, count));
}

const thrown = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error);
  }
  return "nothing";
};

describe("accept", () => {
  it("hands out connections in the order they came (Toro's was last in, first out)", async () => {
    const listener = listening(guest, 80);
    const clients = [host.socket(), host.socket(), host.socket()];
    for (const client of clients) await network.settle(host.connect(client, { cid: GUEST, port: 80 }));
    for (const client of clients) {
      const accepted = await guest.accept(listener);
      expect(guest.getpeername(accepted)).toEqual(host.getsockname(client));
    }
    expect(guest.tryAccept(listener)).toBeUndefined();
  });

  it("serves several waiting threads in their order", async () => {
    const listener = listening(guest, 80);
    const order: string[] = [];
    const first = guest.accept(listener).then(() => order.push("first"));
    const second = guest.accept(listener).then(() => order.push("second"));
    await network.settle(host.connect(host.socket(), { cid: GUEST, port: 80 }));
    await network.quiet();
    expect(order).toEqual(["first"]);
    await network.settle(host.connect(host.socket(), { cid: GUEST, port: 80 }));
    await network.settle(Promise.all([first, second]));
    expect(order).toEqual(["first", "second"]);
  });

  it("refuses beyond the backlog", async () => {
    listening(guest, 80, 1);
    await network.settle(host.connect(host.socket(), { cid: GUEST, port: 80 }));
    expect((await errorOf(host.connect(host.socket(), { cid: GUEST, port: 80 }))).code).toBe("ECONNREFUSED");
  });

  it("needs a listening socket", async () => {
    expect((await errorOf(guest.accept(guest.socket()))).code).toBe("EINVAL");
  });

  it("bytes that came before accept are there after it (Toro lost them)", async () => {
    const listener = listening(guest, 80);
    const client = host.socket();
    await network.settle(host.connect(client, { cid: GUEST, port: 80 }));
    await network.settle(host.send(client, bytes("early")));
    await network.quiet();
    expect(await received(guest, await guest.accept(listener))).toBe("early");
  });

  it("regression: ends with ENETDOWN when the driver is closed, and so does select", async () => {
    const listener = listening(guest, 80);
    const accepting = guest.accept(listener);
    const selecting = guest.select({ read: [listener] });
    await guestDriver.close();
    expect(await errorOf(accepting)).toMatchObject({ code: "ENETDOWN" });
    expect((await selecting).readable).toEqual([listener]);
    expect((await guest.select({ read: [listener] })).readable).toEqual([listener]);
    expect(() => guest.tryAccept(listener)).toThrow("the driver is closed");
    expect(guest.waiting).toBe(0);
  });

  it("ends with ENETDOWN when the driver fails", async () => {
    const accepting = guest.accept(listening(guest, 80));
    guestDriver.fail("the device broke the rules");
    expect((await errorOf(accepting)).code).toBe("ENETDOWN");
  });

  it("passes the listening socket's options on", async () => {
    const listener = listening(guest, 80);
    guest.setOption(listener, "txPath", "zero-copy");
    guest.setOption(listener, "bufferSize", 4096);
    await network.settle(host.connect(host.socket(), { cid: GUEST, port: 80 }));
    const accepted = await guest.accept(listener);
    expect(guest.getOption(accepted, "txPath")).toBe("zero-copy");
    expect(guestDriver.connections[0]?.bufAlloc).toBe(4096);
  });
});

describe("bind and listen", () => {
  it("EADDRINUSE while the port is bound, free again after close", () => {
    const first = guest.socket();
    guest.bind(first, 80);
    expect(thrown(() => guest.bind(guest.socket(), 80))).toBe("EADDRINUSE");
    guest.close(first);
    guest.bind(guest.socket(), 80);
  });

  it("the port may be bound by another thread's socket too", () => {
    guest.bind(guest.socket(), 80);
    expect(thrown(() => guest.bind(guestLayer.callsFor().socket(), 80))).toBe("EADDRINUSE");
  });

  it("EINVAL for a second bind, a bad port, a bad backlog, a second listen", () => {
    const socket = guest.socket();
    guest.bind(socket, 80);
    expect(thrown(() => guest.bind(socket, 81))).toBe("EINVAL");
    expect(thrown(() => guest.bind(guest.socket(), -1))).toBe("EINVAL");
    expect(thrown(() => guest.bind(guest.socket(), 1.5))).toBe("EINVAL");
    expect(thrown(() => guest.listen(socket, 0))).toBe("EINVAL");
    guest.listen(socket);
    expect(thrown(() => guest.listen(socket))).toBe("EINVAL");
  });

  it("gives an ephemeral port at bind, or at listen", () => {
    const bound = guest.socket();
    guest.bind(bound);
    const other = guest.socket();
    guest.bind(other);
    expect(guest.getsockname(bound).port).not.toBe(guest.getsockname(other).port);
    const unbound = guest.socket();
    guest.listen(unbound);
    expect(thrown(() => guest.bind(guest.socket(), guest.getsockname(unbound).port))).toBe("EADDRINUSE");
  });
});

describe("connect", () => {
  it("ECONNREFUSED, and the socket may try again", async () => {
    const socket = host.socket();
    expect((await errorOf(host.connect(socket, { cid: GUEST, port: 80 }))).code).toBe("ECONNREFUSED");
    listening(guest, 80);
    await network.settle(host.connect(socket, { cid: GUEST, port: 80 }));
    expect(host.getpeername(socket)).toEqual({ cid: GUEST, port: 80 });
  });

  it("EISCONN, EALREADY, EINVAL, EDESTADDRREQ by the socket's state and the address", async () => {
    const { theirs, listener } = await pair();
    expect(host.tryConnect(theirs, { cid: GUEST, port: 80 })).toBe(-Errno.EISCONN);
    expect(guest.tryConnect(listener, { cid: HOST, port: 80 })).toBe(-Errno.EINVAL);
    const socket = host.socket();
    expect(host.tryConnect(socket, { cid: 0xffff_ffff, port: 80 })).toBe(-Errno.EDESTADDRREQ);
    expect(host.tryConnect(socket, { cid: GUEST, port: -1 })).toBe(-Errno.EINVAL);
    expect(host.tryConnect(socket, { cid: GUEST, port: 80 })).toBe(-Errno.EINPROGRESS);
    expect(host.tryConnect(socket, { cid: GUEST, port: 80 })).toBe(-Errno.EALREADY);
    expect((await errorOf(host.connect(socket, { cid: GUEST, port: 80 }))).code).toBe("EALREADY");
  });

  it("tryConnect: select for writing, then read the error option", async () => {
    listening(guest, 80);
    const good = host.socket();
    const bad = host.socket();
    expect(host.tryConnect(good, { cid: GUEST, port: 80 })).toBe(-Errno.EINPROGRESS);
    expect(host.tryConnect(bad, { cid: GUEST, port: 81 })).toBe(-Errno.EINPROGRESS);
    expect(host.trySelect({ write: [good, bad] }).writable).toEqual([]);
    const ready = await network.settle(host.select({ write: [good, bad] }));
    expect(ready.writable).toEqual([good, bad]);
    expect(host.getOption(good, "error")).toBe(0);
    expect(host.getOption(bad, "error")).toBe(Errno.ECONNREFUSED);
    expect(host.getOption(bad, "error")).toBe(0);
  });

  it("a timeout takes the attempt back", async () => {
    const socket = host.socket();
    const failing = host.connect(socket, { cid: GUEST, port: 80 }, { timeoutMs: 50 });
    clock.advance(50);
    expect((await errorOf(failing)).code).toBe("ETIMEDOUT");
    expect(hostDriver.connections[0]?.status).toBe("closed");
    expect(host.waiting + clock.pending).toBe(0);
  });

  it("uses the local port that was asked for", async () => {
    listening(guest, 80);
    const socket = host.socket();
    await network.settle(host.connect(socket, { cid: GUEST, port: 80 }, { localPort: 1000 }));
    expect(host.getsockname(socket)).toEqual({ cid: HOST, port: 1000 });
  });
});

describe("send and recv", () => {
  it("recv tells empty from closed (Toro's did not)", async () => {
    const { mine, theirs } = await pair();
    const target = new Uint8Array(8);
    expect(guest.tryRecv(mine, target)).toBe(-Errno.EAGAIN);
    host.shutdown(theirs, "send");
    await network.quiet();
    expect(guest.tryRecv(mine, target)).toBe(0);
    expect(await guest.recv(mine, target)).toBe(0);
  });

  it("unread data survives the peer's shutdown, and its close", async () => {
    const { mine, theirs } = await pair();
    await network.settle(host.send(theirs, bytes("last words")));
    host.shutdown(theirs, "send");
    host.close(theirs);
    await network.quiet();
    expect(await received(guest, mine)).toBe("last words");
    expect(guest.tryRecv(mine, new Uint8Array(1))).toBe(0);
  });

  it("half-close: the other direction still carries bytes", async () => {
    const { mine, theirs } = await pair();
    host.shutdown(theirs, "send");
    await network.quiet();
    await network.settle(guest.send(mine, bytes("answer")));
    expect(await received(host, theirs)).toBe("answer");
    expect(host.trySend(theirs, bytes("more"))).toBe(-Errno.EPIPE);
    expect((await errorOf(host.send(theirs, bytes("more")))).code).toBe("EPIPE");
  });

  it("EPIPE to those who wait in send when their own side shuts down, and when the peer takes no more", async () => {
    const { mine, theirs } = await pair();
    host.setOption(theirs, "bufferSize", 4);
    const first = guest.send(mine, bytes("123456"));
    await network.quiet();
    host.shutdown(theirs, "receive");
    const error = await errorOf(first);
    expect(error.code).toBe("EPIPE");
    expect((error as SendError).sent).toBe(4);
  });

  it("ECONNRESET to those who wait when the peer aborts", async () => {
    const { mine, theirs } = await pair();
    const failing = errorOf(guest.recv(mine, new Uint8Array(1)));
    host.abort(theirs);
    expect((await failing).code).toBe("ECONNRESET");
    expect(guest.getOption(mine, "error")).toBe(Errno.ECONNRESET);
    expect(guest.trySend(mine, bytes("x"))).toBe(-Errno.ECONNRESET);
  });

  it("ENOTCONN before there is a connection, EBADF after close", async () => {
    const socket = guest.socket();
    const target = new Uint8Array(1);
    expect(guest.tryRecv(socket, target)).toBe(-Errno.ENOTCONN);
    expect(guest.trySend(socket, target)).toBe(-Errno.ENOTCONN);
    expect(thrown(() => guest.getpeername(socket))).toBe("ENOTCONN");
    expect(thrown(() => guest.shutdown(socket, "send"))).toBe("ENOTCONN");
    guest.close(socket);
    expect(guest.tryRecv(socket, target)).toBe(-Errno.EBADF);
    expect((await errorOf(guest.send(socket, target))).code).toBe("EBADF");
    expect(thrown(() => guest.close(socket))).toBe("EBADF");
    expect(thrown(() => guest.getsockname(socket))).toBe("EBADF");
  });

  it("an empty target is EINVAL: its 0 would read as the end", async () => {
    const { mine } = await pair();
    expect(guest.tryRecv(mine, new Uint8Array(0))).toBe(-Errno.EINVAL);
    expect((await errorOf(guest.recv(mine, new Uint8Array(0)))).code).toBe("EINVAL");
  });

  it("peek does not consume; a waiting peek and the recv behind it get the same bytes", async () => {
    const { mine, theirs } = await pair();
    const peeked = new Uint8Array(8);
    const taken = new Uint8Array(8);
    const counts = Promise.all([guest.peek(mine, peeked), guest.recv(mine, taken)]);
    await network.settle(host.send(theirs, bytes("abc")));
    expect(await network.settle(counts)).toEqual([3, 3]);
    expect(text(peeked.subarray(0, 3))).toBe("abc");
    expect(guest.tryPeek(mine, peeked)).toBe(-Errno.EAGAIN);
  });

  it("several receivers are served in order, and nobody overtakes them", async () => {
    const { mine, theirs } = await pair();
    const targets = [new Uint8Array(1), new Uint8Array(1), new Uint8Array(1)];
    const waiting = targets.map((target) => guest.recv(mine, target));
    expect(guest.tryRecv(mine, new Uint8Array(1))).toBe(-Errno.EAGAIN);
    await network.settle(host.send(theirs, bytes("123")));
    await network.settle(Promise.all(waiting));
    expect(targets.map(text)).toEqual(["1", "2", "3"]);
  });

  it("the bytes of concurrent sends do not mix, and trySend waits its turn", async () => {
    const { mine, theirs } = await pair();
    host.setOption(theirs, "bufferSize", 3);
    const sends = Promise.all([guest.send(mine, bytes("aaaaaaa")), guest.send(mine, bytes("bbbbb"))]);
    expect(guest.trySend(mine, bytes("c"))).toBe(-Errno.EAGAIN);
    let all = "";
    while (all.length < 12) all += await received(host, theirs);
    expect(all).toBe("aaaaaaabbbbb");
    expect(await network.settle(sends)).toEqual([7, 5]);
  });

  it("borrow lends received bytes in place; the end is undefined", async () => {
    const { mine, theirs } = await pair();
    const waiting = guest.borrow(mine);
    await network.settle(host.send(theirs, bytes("lent")));
    const lent = await network.settle(waiting);
    expect(text(lent?.bytes ?? new Uint8Array())).toBe("lent");
    lent?.release();
    host.close(theirs);
    expect(await network.settle(guest.borrow(mine))).toBeUndefined();
  });
});

describe("sendBuffer", () => {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const buffer = (): DmaBuffer => new DmaBuffer(memory, guestAddress(0), 64, () => {});

  it("lends the buffer, part by part, and says once that all is back", async () => {
    const { mine, theirs } = await pair();
    guest.setOption(mine, "txPath", "zero-copy");
    host.setOption(theirs, "bufferSize", 10);
    const lent = buffer();
    lent.writable.set(bytes("0123456789abcdefghij"));
    let returned = 0;
    const sending = guest.sendBuffer(mine, { buffer: lent, offset: 0, length: 20 }, { onReturned: () => returned++ });
    expect(lent.state).toBe("lent-to-read");
    expect(await received(host, theirs)).toBe("0123456789");
    expect(returned).toBe(0);
    expect(await received(host, theirs)).toBe("abcdefghij");
    expect(await network.settle(sending)).toBe(20);
    expect(returned).toBe(1);
    expect(lent.state).toBe("owned");
    expect(guestDriver.connections[0]?.lentSends).toBe(2);
  });

  it("says so once, too, when the send fails before or while it waits", async () => {
    const { mine, theirs } = await pair();
    host.setOption(theirs, "bufferSize", 10);
    const lent = buffer();
    let returned = 0;
    const onReturned = (): void => {
      returned++;
    };
    const failing = guest.sendBuffer(mine, { buffer: lent, offset: 0, length: 20 }, { onReturned });
    await network.quiet();
    host.abort(theirs);
    const error = await errorOf(failing);
    expect([error.code, (error as SendError).sent, returned]).toEqual(["ECONNRESET", 10, 1]);
    const closed = guest.socket();
    expect((await errorOf(guest.sendBuffer(closed, { buffer: lent, offset: 0, length: 1 }, { onReturned }))).code).toBe(
      "ENOTCONN",
    );
    expect(returned).toBe(2);
  });
});

describe("lent buffers", () => {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const buffer = (): DmaBuffer => {
    const made = new DmaBuffer(memory, guestAddress(0), 64, () => {});
    made.writable.set(bytes("0123456789abcdefghij"));
    return made;
  };

  async function lending(): Promise<{ mine: Socket; theirs: Socket; lent: DmaBuffer }> {
    const { mine, theirs } = await pair();
    guest.setOption(mine, "txPath", "zero-copy");
    host.setOption(theirs, "bufferSize", 10);
    return { mine, theirs, lent: buffer() };
  }

  it("settle: returned waits until the buffer may be written again", async () => {
    const { mine, lent } = await lending();
    let settled = "not yet";
    const slice = { buffer: lent, offset: 0, length: 10 };
    const sending = guest.sendBuffer(mine, slice, { settle: "returned" }).then(() => {
      settled = lent.state;
    });
    expect([settled, lent.state]).toEqual(["not yet", "lent-to-read"]);
    await network.settle(sending);
    expect(settled).toBe("owned");
  });

  it("settle: returned also when the send fails: only then is the buffer its owner's", async () => {
    const { mine, theirs, lent } = await lending();
    const failing = guest.sendBuffer(mine, { buffer: lent, offset: 0, length: 20 }, { settle: "returned" });
    const error = failing.catch((reason: SendError) => `${reason.code} after ${reason.sent}, ${lent.state}`);
    host.abort(theirs);
    expect(await network.settle(error)).toBe("ECONNRESET after 10, owned");
  });

  it("loansOver waits for what was lent by now; the counters are free", async () => {
    const { mine, theirs, lent } = await lending();
    expect(await guest.loansOver(mine)).toBe(0);
    expect(guest.trySendBuffer(mine, lent, 0, 4)).toBe(4);
    expect(guest.trySendBuffer(mine, lent, 4, 4)).toBe(4);
    expect([guest.loansMade(mine), guest.loansReturned(mine)]).toEqual([2, 0]);
    const [first, both] = [guest.loansOver(mine, 1), guest.loansOver(mine)];
    expect(await network.settle(Promise.all([first, both]))).toEqual([1, 2]);
    expect([guest.loansReturned(mine), lent.state, guest.waiting]).toEqual([2, "owned", 0]);
    const late = errorOf(guest.loansOver(mine, 3, { timeoutMs: 5 }));
    clock.advance(5);
    expect((await late).code).toBe("ETIMEDOUT");
    host.close(theirs);
    guest.close(mine);
    expect(guest.loansMade(mine)).toBe(-Errno.EBADF);
    expect((await errorOf(guest.loansOver(mine))).code).toBe("EBADF");
  });

  it("sendBuffers: parts in order, over several windows, one callback", async () => {
    const { mine, theirs, lent } = await lending();
    let returned = 0;
    const parts = [
      { buffer: lent, offset: 10, length: 6 },
      { buffer: lent, offset: 0, length: 0 },
      { buffer: lent, offset: 2, length: 7 },
    ];
    const sending = guest.sendBuffers(mine, parts, { onReturned: () => returned++, settle: "returned" });
    let got = "";
    while (got.length < 13) got += await received(host, theirs);
    expect(got).toBe("abcdef2345678");
    expect(await network.settle(sending)).toBe(13);
    expect([returned, lent.state]).toEqual([1, "owned"]);
    expect(guest.trySendBuffers(mine, parts, 12)).toBe(1);
    expect(await received(host, theirs)).toBe("8");
  });

  it("tryBorrowInto: an object of the caller's, used again", async () => {
    const { mine, theirs } = await lending();
    const run = new BorrowedBytes();
    expect(host.tryBorrowInto(theirs, run)).toBe(-Errno.EAGAIN);
    for (const word of ["one", "three"]) {
      await network.settle(guest.send(mine, bytes(word)));
      await network.quiet();
      expect(host.tryBorrowInto(theirs, run)).toBe(word.length);
      expect(text(run.bytes)).toBe(word);
      run.release();
      expect(() => run.release()).toThrow("twice");
    }
    guest.close(mine);
    await network.quiet();
    expect(host.tryBorrowInto(theirs, run)).toBe(0);
    expect(host.tryBorrowInto(host.socket(), run)).toBe(-Errno.ENOTCONN);
  });
});

describe("waits end", () => {
  it("with ETIMEDOUT, leaving nothing behind", async () => {
    const { mine } = await pair();
    const failing = errorOf(guest.recv(mine, new Uint8Array(1), { timeoutMs: 10 }));
    expect([guest.waiting, clock.pending]).toEqual([1, 1]);
    clock.advance(10);
    expect((await failing).code).toBe("ETIMEDOUT");
    expect([guest.waiting, clock.pending]).toEqual([0, 0]);
  });

  it("with ECANCELED by a signal, whose listener is gone afterwards in every case", async () => {
    const { mine, theirs } = await pair();
    const controller = new AbortController();
    let listeners = 0;
    const signal = {
      get aborted() {
        return controller.signal.aborted;
      },
      get reason(): unknown {
        return controller.signal.reason;
      },
      addEventListener: (type: "abort", listener: () => void, options?: { once?: boolean }) => {
        listeners++;
        controller.signal.addEventListener(type, listener, options);
      },
      removeEventListener: (type: "abort", listener: () => void) => {
        listeners--;
        controller.signal.removeEventListener(type, listener);
      },
    };
    const target = new Uint8Array(1);
    const good = guest.recv(mine, target, { signal });
    const failing = errorOf(guest.recv(mine, target, { signal }));
    expect(listeners).toBe(2);
    await network.settle(host.send(theirs, bytes("1")));
    expect(await network.settle(good)).toBe(1);
    expect(listeners).toBe(1);
    controller.abort("enough");
    const error = await failing;
    expect([error.code, error.cause, listeners, guest.waiting]).toEqual(["ECANCELED", "enough", 0, 0]);
    expect((await errorOf(guest.recv(mine, target, { signal }))).code).toBe("ECANCELED");
  });

  it("with EBADF when the socket is closed by another thread", async () => {
    const { mine, listener } = await pair();
    const waits = [
      guest.recv(mine, new Uint8Array(1)),
      guest.accept(listener),
      guest.select({ read: [mine, listener] }),
    ];
    const failing = Promise.all(waits.map(errorOf));
    guestLayer.callsFor().close(mine);
    guest.close(listener);
    expect((await failing).map((error) => error.code)).toEqual(["EBADF", "EBADF", "EBADF"]);
    expect(guest.waiting).toBe(0);
  });

  it("with the thread: its own waits only", async () => {
    const { mine } = await pair();
    const controller = new AbortController();
    const doomed = guestLayer.callsFor({ signal: controller.signal });
    const failing = errorOf(doomed.recv(mine, new Uint8Array(1)));
    const living = guest.recv(mine, new Uint8Array(1));
    controller.abort("cancelled");
    const error = await failing;
    expect([error.code, error.cause]).toEqual(["ECANCELED", "cancelled"]);
    expect(guest.waiting).toBe(1);
    guest.close(mine);
    expect((await errorOf(living)).code).toBe("EBADF");
  });

  it("a bad timeout is EINVAL", async () => {
    const { mine } = await pair();
    for (const timeoutMs of [-1, Number.NaN]) {
      expect((await errorOf(guest.recv(mine, new Uint8Array(1), { timeoutMs }))).code).toBe("EINVAL");
    }
  });
});

describe("accounting", () => {
  it("closeAll closes what a thread left open, and nothing can be opened for it afterwards", async () => {
    const { mine, theirs } = await pair();
    const failing = errorOf(guest.recv(mine, new Uint8Array(1)));
    expect(guest.openSockets).toBe(2);
    expect(guest.closeAll()).toBe(2);
    expect((await failing).code).toBe("ECANCELED");
    expect(await network.settle(host.recv(theirs, new Uint8Array(1)))).toBe(0);
    expect(thrown(() => guest.socket())).toBe("ECANCELED");
  });

  it("an adopted socket goes with its new thread", async () => {
    const { mine } = await pair();
    const worker = guestLayer.callsFor();
    worker.adopt(mine);
    expect([guest.openSockets, worker.openSockets]).toEqual([1, 1]);
    guest.closeAll();
    expect(worker.tryRecv(mine, new Uint8Array(1))).toBe(-Errno.EAGAIN);
    expect(worker.closeAll()).toBe(1);
    expect(worker.tryRecv(mine, new Uint8Array(1))).toBe(-Errno.EBADF);
  });
});

describe("options", () => {
  it("are checked, kept until there is a connection, and put on it", async () => {
    const socket = host.socket();
    expect(thrown(() => host.setOption(socket, "bufferSize", 0))).toBe("EINVAL");
    expect(thrown(() => host.setOption(socket, "txPath", "three-copy" as "one-copy"))).toBe("EINVAL");
    expect(thrown(() => host.setOption(socket, "error" as "noDelay", true))).toBe("ENOPROTOOPT");
    expect(thrown(() => host.getOption(socket, "noDelay"))).toBe("ENOTCONN");
    host.setOption(socket, "noDelay", true);
    expect(host.getOption(socket, "noDelay")).toBe(true);
    listening(guest, 80);
    await network.settle(host.connect(socket, { cid: GUEST, port: 80 }));
    expect(hostDriver.connections[0]?.coalesce).toBe(false);
    expect(host.getOption(socket, "bufferSize")).toBe(256 * 1024);
  });
});

it("something that is no socket is ENOTSOCK", () => {
  expect(thrown(() => guest.trySend({} as Socket, new Uint8Array(1)))).toBe("ENOTSOCK");
});
