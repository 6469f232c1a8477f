/** The vsock driver against vhost-device-vsock, in both directions through its Unix sockets. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Errno, errnoName } from "@toril/virtio/platform";
import { HOST_CID, port, type VsockConnection } from "@toril/vsock";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startVhostDeviceVsock } from "../daemons/vhost-device-vsock.ts";
import { pattern } from "../testing/file-suite.ts";
import { needPeer, notePeerLimit, vsockPeer } from "../testing/peers.ts";
import { GUEST_CID, receiveAll, sendAll, startVsockGuest, type VsockGuest } from "../testing/vsock-guest.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const peer = vsockPeer();
const PORT = port(1234);
const MB_100 = 100_000_000;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe(`vsock over ${peer.title}`, () => {
  let guest: VsockGuest;
  const servers: Server[] = [];

  beforeEach(async () => {
    if (peer.missing === undefined) guest = await startVsockGuest(peer.command);
  });

  afterEach(async () => {
    for (const server of servers.splice(0)) server.close();
    await guest?.close();
  });

  /** The host's program behind the daemon's scheme: `<uds>_<port>` is who the guest reaches. */
  async function hostListen(number: number, serve: (socket: Socket) => void): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, serve);
    servers.push(server);
    server.listen(`${guest.daemon.hostSocketPath}_${number}`);
    await once(server, "listening");
  }

  /** A host program's connection to a port of the guest: `CONNECT`, then `OK`. */
  async function hostConnect(number: number): Promise<Socket> {
    const socket = connect({ path: guest.daemon.hostSocketPath, allowHalfOpen: true });
    socket.write(`CONNECT ${number}\n`);
    const [reply] = (await once(socket, "data")) as [Buffer];
    const line = reply.subarray(0, reply.indexOf(0x0a) + 1);
    expect(line.toString()).toMatch(/^OK \d+\n$/);
    if (reply.length > line.length) socket.unshift(reply.subarray(line.length));
    return socket;
  }

  /** Accepts in the guest. */
  function guestListen(number: number, serve: (connection: VsockConnection) => void): void {
    const listener = guest.driver.listen(port(number), 600);
    listener.onAcceptable = () => {
      for (let one = listener.tryAccept(); one !== undefined; one = listener.tryAccept()) serve(one);
    };
  }

  test("§5.10.4 GET_CONFIG: the guest CID is the daemon's", (context) => {
    needPeer(peer, context);
    expect(guest.driver.guestCid).toBe(GUEST_CID);
  });

  test("guest to host: 100 MB, hashed", async (context) => {
    needPeer(peer, context);
    const bytes = pattern(MB_100, 3);
    const hash = createHash("sha256");
    let received = 0;
    const ended = new Promise<void>((resolve) => {
      void hostListen(PORT, (socket) => {
        socket.on("data", (chunk) => {
          received += chunk.length;
          hash.update(chunk);
          // Without half-close the guest cannot say that it was all: a byte back does.
          if (received === MB_100) socket.end("!");
        });
        socket.on("end", () => resolve()).on("error", () => resolve());
      });
    });
    await vi.waitFor(() => expect(servers[0]?.listening).toBe(true), 30_000);
    const connection = guest.driver.connect({ cid: HOST_CID, port: PORT });
    expect(await sendAll(connection, bytes)).toBe("sent");
    await receiveAll(connection);
    connection.close();
    await ended;
    expect(received).toBe(MB_100);
    expect(hash.digest("hex")).toBe(sha256(bytes));
  });

  test("host to guest: 100 MB, hashed", async (context) => {
    needPeer(peer, context);
    const bytes = pattern(MB_100, 4);
    const outcome = new Promise<Awaited<ReturnType<typeof receiveAll>>>((resolve) => {
      guestListen(PORT, (connection) => void receiveAll(connection).then(resolve));
    });
    const socket = await hostConnect(PORT);
    socket.end(bytes);
    const { bytes: received, sha256: hash } = await outcome;
    expect(received).toBe(MB_100);
    expect(hash).toBe(sha256(bytes));
    socket.destroy();
  });

  test("500 connections at once, from the host, each with its own bytes", async (context) => {
    needPeer(peer, context);
    guestListen(PORT, (connection) => {
      const target = new Uint8Array(4096);
      const echo = (): void => {
        const count = connection.tryRecv(target);
        if (count > 0) connection.trySend(target.subarray(0, count));
        else if (count !== -Errno.EAGAIN) connection.close();
      };
      connection.listener = { onReadable: echo };
      echo();
    });
    const sockets: Socket[] = [];
    for (let i = 0; i < 500; i++) sockets.push(await hostConnect(PORT));
    expect(guest.driver.stats.connectionsOpen).toBe(500);
    const replies = sockets.map(async (socket, i) => {
      socket.write(`number ${i}`);
      const [reply] = (await once(socket, "data")) as [Buffer];
      return reply.toString();
    });
    expect(await Promise.all(replies)).toEqual(sockets.map((_, i) => `number ${i}`));
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(() => expect(guest.driver.stats.connectionsOpen).toBe(0), 30_000);
    expect(guest.driver.failure).toBeUndefined();
  });

  test("a port on which nobody listens is refused, on either side", async (context) => {
    needPeer(peer, context);
    const connection = guest.driver.connect({ cid: HOST_CID, port: port(9) });
    const { closed } = await receiveAll(connection);
    expect([Errno.ECONNREFUSED, Errno.ECONNRESET, Errno.ETIMEDOUT]).toContain(closed);
    if (closed === Errno.ETIMEDOUT) {
      notePeerLimit(
        context,
        "a connection to a host port that nobody serves is not refused: it times out (no RST came)",
      );
    }
    const socket = connect({ path: guest.daemon.hostSocketPath });
    socket.write("CONNECT 9\n");
    socket.resume();
    await once(socket, "close");
  });

  test("§5.10.6.5 half-close: what the peer makes of the host's end of stream", async (context) => {
    needPeer(peer, context);
    let after: number | "accepted" = "accepted";
    const done = new Promise<void>((resolve) => {
      guestListen(PORT, (connection) => {
        void receiveAll(connection).then(() => {
          const count = connection.trySend(new TextEncoder().encode("still here"));
          after = count > 0 ? "accepted" : count;
          connection.close();
          resolve();
        });
      });
    });
    const socket = await hostConnect(PORT);
    let answer = "";
    socket.setEncoding("utf8").on("data", (text) => {
      answer += text;
    });
    socket.end("and that is all");
    await done;
    await once(socket, "close").catch(() => {});
    if (answer === "") {
      const seen =
        typeof after === "number"
          ? `the guest's next send failed with ${errnoName(-after)}`
          : "what the guest sent after it was lost";
      notePeerLimit(context, `no half-close: the host's end of stream shuts both directions; ${seen}`);
    }
    expect(["", "still here"]).toContain(answer);
  });

  test("hosts that connect while the guest comes up", async (context) => {
    needPeer(peer, context);
    let stuck: string | undefined;
    for (let attempt = 0; attempt < 10 && stuck === undefined; attempt++) {
      const daemon = await startVhostDeviceVsock({ guestCid: 43, command: peer.command });
      const sockets: Socket[] = [];
      const call = (): Socket => {
        const socket = connect({ path: daemon.hostSocketPath });
        socket.on("error", () => {});
        socket.write(`CONNECT ${PORT}\n`);
        sockets.push(socket);
        return socket;
      };
      const calling = setInterval(call, 1);
      const late = await startVsockGuest(peer.command, {}, daemon);
      clearInterval(calling);
      late.driver.listen(PORT, 100);
      const answered = once(call(), "data").then(() => "OK");
      if ((await Promise.race([answered, sleep(3_000, "nothing")])) === "nothing") {
        const seen = `no packet in the guest, and no answer to a new connection within 3 s`;
        // Its queue thread ends with "IterateQueue" when a host's connection comes between SET_MEM_TABLE and the queues.
        stuck = `a host that connects while the guest comes up can stop it for good: ${seen}`;
        notePeerLimit(context, stuck);
      }
      for (const socket of sockets) socket.destroy();
      await late.close();
    }
  });

  test("killed: every connection ends with ENETDOWN, and no memory is lost", async (context) => {
    needPeer(peer, context);
    const outcomes: Promise<Awaited<ReturnType<typeof receiveAll>>>[] = [];
    guestListen(PORT, (connection) => void outcomes.push(receiveAll(connection)));
    const sockets = [await hostConnect(PORT), await hostConnect(PORT)];
    for (const socket of sockets) socket.on("error", () => {});
    guest.daemon.signal("SIGKILL");
    for (const outcome of await Promise.all(outcomes)) expect(outcome.closed).toBe(Errno.ENETDOWN);
    expect(guest.driver.failure).toBeDefined();
    await guest.driver.close();
    expect(guest.heap.stats().bytesInUse).toBe(0);
    for (const socket of sockets) socket.destroy();
  });
});
