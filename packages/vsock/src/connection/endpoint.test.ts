import { Errno } from "@toril/virtio/platform";
import { describe, expect, test } from "vitest";
import { PacketHeader } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, opName, ShutdownFlag } from "../wire/ops.ts";
import { Endpoint } from "./endpoint.ts";
import { Signal } from "./signals.ts";

const WINDOW = 65_536;

function packet(op: number, fields: Partial<PacketHeader> = {}): PacketHeader {
  return Object.assign(new PacketHeader(), { op, bufAlloc: WINDOW, ...fields });
}

/** Everything an endpoint sends now, by name; SHUTDOWN with its flags, RW with its length. */
function sent(endpoint: Endpoint): string[] {
  const header = new PacketHeader();
  const names: string[] = [];
  for (let op = endpoint.take(header); op !== 0; op = endpoint.take(header)) {
    const detail = op === Op.Shutdown ? ` ${header.flags}` : op === Op.Rw ? ` ${header.len}` : "";
    names.push(opName(op) + detail);
  }
  return names;
}

function establishedEnd(): Endpoint {
  const endpoint = Endpoint.accepting(packet(Op.Request), WINDOW);
  expect(sent(endpoint)).toEqual(["RESPONSE"]);
  return endpoint;
}

const shutdown = (flags: number): PacketHeader => packet(Op.Shutdown, { flags });

describe("§5.10.6.5 opening", () => {
  test("REQUEST, RESPONSE, established", () => {
    const endpoint = Endpoint.connecting(WINDOW);
    expect(sent(endpoint)).toEqual(["REQUEST"]);
    expect(endpoint.receive(packet(Op.Response), 0)).toBe(Signal.Connected | Signal.Credit);
    expect(endpoint.state).toEqual({ kind: "established", outbound: "open", inbound: "open" });
    expect(endpoint.sendable).toBe(WINDOW);
  });

  test("RST refuses", () => {
    const endpoint = Endpoint.connecting(WINDOW);
    sent(endpoint);
    expect(endpoint.receive(packet(Op.Rst), 0)).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.ECONNREFUSED });
    expect(sent(endpoint)).toEqual([]);
    expect(endpoint.finished).toBe(true);
  });

  test.each([Op.Request, Op.Shutdown, Op.Rw, Op.CreditUpdate, Op.CreditRequest, 0, 99])(
    "op %i in place of RESPONSE is a violation",
    (op) => {
      const endpoint = Endpoint.connecting(WINDOW);
      sent(endpoint);
      endpoint.receive(packet(op), 0);
      expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.EPROTO });
      expect(sent(endpoint)).toEqual(["RST"]);
    },
  );

  test("a connection given up before REQUEST went out says nothing", () => {
    const endpoint = Endpoint.connecting(WINDOW);
    endpoint.request("abort");
    expect(sent(endpoint)).toEqual([]);
    expect(endpoint.finished).toBe(true);
  });

  test("a timeout after REQUEST resets", () => {
    const endpoint = Endpoint.connecting(WINDOW);
    sent(endpoint);
    expect(endpoint.request("timeout")).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.ETIMEDOUT });
    expect(sent(endpoint)).toEqual(["RST"]);
  });
});

describe("§5.10.6.5 RST", () => {
  test("Toro: is never answered with RST", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(10);
    expect(endpoint.receive(packet(Op.Rst), 0)).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.ECONNRESET });
    expect(sent(endpoint)).toEqual([]);
    expect(endpoint.queued).toBe(0);
  });

  test("what comes after our RST is owed changes nothing, and is not answered twice", () => {
    const endpoint = establishedEnd();
    endpoint.request("abort");
    for (const op of [Op.Rw, Op.Request, Op.CreditRequest, 77])
      expect(endpoint.receive(packet(op), 5)).toBe(Signal.None);
    expect(sent(endpoint)).toEqual(["RST"]);
  });

  test.each([Op.Request, Op.Response, 8, 0xffff])("op %i on an established connection resets it", (op) => {
    const endpoint = establishedEnd();
    endpoint.receive(packet(op), 0);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.EPROTO });
    expect(sent(endpoint)).toEqual(["RST"]);
  });
});

describe("§5.10.6.5 closing", () => {
  test("close: SHUTDOWN with both flags, the peer's RST ends it in order", () => {
    const endpoint = establishedEnd();
    endpoint.request("end");
    expect(sent(endpoint)).toEqual(["SHUTDOWN 3"]);
    expect(endpoint.state.kind).toBe("closing");
    expect(endpoint.receive(packet(Op.Rst), 0)).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: 0 });
  });

  test("SHUTDOWN goes after what is queued", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(100);
    endpoint.request("end");
    expect(sent(endpoint)).toEqual(["RW 100", "SHUTDOWN 3"]);
  });

  test("a peer that has shut down both directions gets RST, the connection is over in order", () => {
    const endpoint = establishedEnd();
    expect(endpoint.receive(shutdown(ShutdownFlag.Both), 0) & Signal.Closed).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: 0 });
    expect(sent(endpoint)).toEqual(["RST"]);
    expect(endpoint.finished).toBe(true);
  });

  test("flags are permanent: two packets with one each are as good as one with both", () => {
    const endpoint = establishedEnd();
    expect(endpoint.receive(shutdown(ShutdownFlag.Send), 0)).toBe(Signal.InboundEnded);
    expect(endpoint.receive(shutdown(0), 0)).toBe(Signal.None);
    endpoint.receive(shutdown(ShutdownFlag.Receive), 0);
    expect(endpoint.state).toEqual({ kind: "closed", errno: 0 });
    expect(sent(endpoint)).toEqual(["RST"]);
  });

  test("bytes that the peer will not take any more are a loss, and it says so", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(1);
    endpoint.receive(shutdown(ShutdownFlag.Both), 0);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.ECONNRESET });
  });

  test("half-close keeps the other direction: we end, the peer goes on", () => {
    const endpoint = establishedEnd();
    endpoint.request("end-send");
    expect(sent(endpoint)).toEqual(["SHUTDOWN 2"]);
    expect(endpoint.receive(packet(Op.Rw, { len: 10 }), 10)).toBe(Signal.Data);
    expect(endpoint.receive(shutdown(ShutdownFlag.Send), 0)).toBe(Signal.InboundEnded);
    // Nothing can follow in either direction: told as such, so that one RST ends it.
    expect(sent(endpoint)).toEqual(["SHUTDOWN 3"]);
    expect(endpoint.state.kind).toBe("closing");
  });

  test("half-close keeps the other direction: the peer ends, we go on", () => {
    const endpoint = establishedEnd();
    endpoint.receive(shutdown(ShutdownFlag.Send), 0);
    endpoint.enqueue(10);
    expect(sent(endpoint)).toEqual(["RW 10"]);
    endpoint.request("end-send");
    expect(sent(endpoint)).toEqual(["SHUTDOWN 3"]);
  });

  test("the peer receives no more: what is queued is dropped, what it sends is taken", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(10);
    expect(endpoint.receive(shutdown(ShutdownFlag.Receive), 0)).toBe(Signal.OutboundRefused);
    expect(endpoint.queued).toBe(0);
    expect(() => endpoint.enqueue(1)).toThrow(RangeError);
    expect(endpoint.receive(packet(Op.Rw, { len: 10 }), 10)).toBe(Signal.Data);
  });

  test("we receive no more: what was under way is dropped, and its credit goes back", () => {
    const endpoint = establishedEnd();
    endpoint.request("end-receive");
    expect(sent(endpoint)).toEqual(["SHUTDOWN 1"]);
    expect(endpoint.receive(packet(Op.Rw, { len: 40_000 }), 40_000)).toBe(Signal.None);
    expect(endpoint.credit.fwdCnt).toBe(40_000);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
  });

  test("a peer that sends after it said it would not is reset", () => {
    const endpoint = establishedEnd();
    endpoint.receive(shutdown(ShutdownFlag.Send), 0);
    endpoint.receive(packet(Op.Rw, { len: 1 }), 1);
    expect(sent(endpoint)).toEqual(["RST"]);
  });

  test("both close at once: each answers the other's SHUTDOWN with RST, in order", () => {
    const endpoint = establishedEnd();
    endpoint.request("end");
    sent(endpoint);
    expect(endpoint.receive(shutdown(ShutdownFlag.Both), 0) & Signal.Closed).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: 0 });
    expect(sent(endpoint)).toEqual(["RST"]);
  });

  test("the close timeout resets", () => {
    const endpoint = establishedEnd();
    endpoint.request("end");
    sent(endpoint);
    endpoint.request("timeout");
    expect(sent(endpoint)).toEqual(["RST"]);
    expect(endpoint.finished).toBe(true);
  });
});

describe("§5.10.6.3 credit", () => {
  test("Toro: a sender stops at peer_buf_alloc - (tx_cnt - peer_fwd_cnt), and asks", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(WINDOW + 1);
    expect(sent(endpoint)).toEqual([`RW ${MAX_PAYLOAD}`, "CREDIT_REQUEST"]);
    expect(endpoint.blockedOnCredit).toBe(true);
    expect(endpoint.receive(packet(Op.CreditUpdate, { fwdCnt: 10 }), 0)).toBe(Signal.Credit);
    expect(sent(endpoint)).toEqual(["RW 1"]);
  });

  test("it asks once, until it is told to ask again or credit has come", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(WINDOW + 1);
    sent(endpoint);
    endpoint.receive(packet(Op.CreditUpdate), 0);
    expect(sent(endpoint)).toEqual([]);
    endpoint.askAgain();
    expect(sent(endpoint)).toEqual(["CREDIT_REQUEST"]);
  });

  test("Toro: CREDIT_REQUEST is answered, with buf_alloc", () => {
    const endpoint = establishedEnd();
    endpoint.receive(packet(Op.CreditRequest), 0);
    const header = new PacketHeader();
    expect(endpoint.take(header)).toBe(Op.CreditUpdate);
    expect(header).toMatchObject({ bufAlloc: WINDOW, fwdCnt: 0, len: 0 });
    expect(endpoint.take(header)).toBe(0);
  });

  test("a peer that asks again before anything has changed is not told again (vhost-device-vsock asked 1.2 million times)", () => {
    const endpoint = establishedEnd();
    endpoint.receive(packet(Op.Rw, { len: WINDOW }), WINDOW);
    for (let i = 0; i < 3; i++) endpoint.receive(packet(Op.CreditRequest), 0);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
    endpoint.receive(packet(Op.CreditRequest), 0);
    expect(sent(endpoint)).toEqual([]);
    expect(endpoint.consumed(1)).toBe(false);
    endpoint.receive(packet(Op.CreditRequest), 0);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
    expect(endpoint.consumed(WINDOW - 1)).toBe(true);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
  });

  test("Toro: credit goes back when the user reads, not when bytes arrive", () => {
    const endpoint = establishedEnd();
    endpoint.receive(packet(Op.Rw, { len: WINDOW }), WINDOW);
    expect(sent(endpoint)).toEqual([]);
    expect(endpoint.consumed(WINDOW / 2 - 1)).toBe(false);
    expect(endpoint.consumed(1)).toBe(true);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
  });

  test("RW carries the news in place of a CREDIT_UPDATE", () => {
    const endpoint = establishedEnd();
    endpoint.receive(packet(Op.Rw, { len: WINDOW }), WINDOW);
    endpoint.consumed(WINDOW);
    endpoint.enqueue(1);
    expect(sent(endpoint)).toEqual(["RW 1"]);
  });

  test("a peer that sends beyond its credit, or lies about ours, is reset", () => {
    const greedy = establishedEnd();
    greedy.receive(packet(Op.Rw, { len: WINDOW }), WINDOW);
    greedy.receive(packet(Op.Rw, { len: 1 }), 1);
    expect(greedy.state).toEqual({ kind: "closed", errno: Errno.EPROTO });
    const liar = establishedEnd();
    liar.receive(packet(Op.CreditUpdate, { fwdCnt: 1 }), 0);
    expect(liar.state).toEqual({ kind: "closed", errno: Errno.EPROTO });
  });

  test("a queued packet waits when the peer shrinks its window, and goes in parts", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(1000);
    endpoint.receive(packet(Op.CreditUpdate, { bufAlloc: 300 }), 0);
    expect(sent(endpoint)).toEqual(["RW 300", "CREDIT_REQUEST"]);
    endpoint.receive(packet(Op.CreditUpdate, { bufAlloc: 300, fwdCnt: 300 }), 0);
    expect(sent(endpoint)).toEqual(["RW 300", "CREDIT_REQUEST"]);
  });

  test("a larger window is told at once", () => {
    const endpoint = establishedEnd();
    endpoint.resizeWindow(2 * WINDOW);
    expect(sent(endpoint)).toEqual(["CREDIT_UPDATE"]);
    expect(endpoint.receive(packet(Op.Rw, { len: 2 * WINDOW }), 2 * WINDOW)).toBe(Signal.Data);
  });
});

describe("§5.10.6.7 the transport", () => {
  test("TRANSPORT_RESET ends a connection without a word to the peer", () => {
    const endpoint = establishedEnd();
    endpoint.enqueue(5);
    expect(endpoint.request("transport-reset")).toBe(Signal.Closed);
    expect(endpoint.state).toEqual({ kind: "closed", errno: Errno.ECONNRESET });
    expect(sent(endpoint)).toEqual([]);
  });
});
