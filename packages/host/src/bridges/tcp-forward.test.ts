import { once } from "node:events";
import { createServer, Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Client, GuestProgram, guestListen, pattern, startGuest, type TestGuest, until } from "../testing/guest.ts";

import { Connections, reset } from "./connections.ts";
import { TcpForward, type TcpForwardOptions } from "./tcp-forward.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let guest: TestGuest;
let programs: GuestProgram[];
const forwards: TcpForward[] = [];

beforeEach(async () => {
  guest = await startGuest();
  programs = [];
  guestListen(guest, 80, (connection) => programs.push(new GuestProgram(connection)));
});
afterEach(async () => {
  for (const forward of forwards.splice(0)) await forward.close();
  guest.stop();
});

async function start(options: Partial<TcpForwardOptions> = {}): Promise<TcpForward> {
  const forward = await TcpForward.start({ device: guest.device, listen: { port: 0 }, guestPort: 80, ...options });
  forwards.push(forward);
  return forward;
}

async function open(forward: TcpForward): Promise<{ client: Client; program: GuestProgram }> {
  const index = programs.length;
  const client = new Client({ ...forward.address });
  await until(() => programs.length > index);
  return { client, program: programs[index] as GuestProgram };
}

describe("bytes", () => {
  test("arrive as they were, both ways at once, megabytes of them", async () => {
    const { client, program } = await open(await start());
    const [up, down] = [pattern(3_000_000, 1), pattern(5_000_000, 2)];
    client.socket.write(up);
    program.send(down);
    await until(() => client.receivedBytes === down.length && program.receivedBytes === up.length);
    expect([client.received.equals(down), program.received.equals(up)]).toEqual([true, true]);
  });

  test("that a client sends at once reach the guest when it accepts", async () => {
    const forward = await start();
    const client = new Client({ ...forward.address });
    client.socket.end("GET / HTTP/1.1\r\n\r\n");
    await until(() => programs[0]?.ended === true);
    expect(programs[0]?.received.toString()).toBe("GET / HTTP/1.1\r\n\r\n");
  });

  test("a guest that does not read stops the client, and loses nothing when it goes on", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    program.reading = false;
    const up = pattern(20_000_000);
    client.socket.write(up);
    await until(() => forward.stats.bytesToGuest > 100_000);
    const before = forward.stats.bytesToGuest;
    expect(before).toBeLessThan(2_000_000);
    program.reading = true;
    program.read();
    await until(() => program.receivedBytes === up.length);
    expect(program.received.equals(up)).toBe(true);
  });

  test("a client that does not read is bounded, stops nobody else, and gets everything in the end", async () => {
    const forward = await start();
    const stalled = await open(forward);
    stalled.client.socket.pause();
    const down = pattern(30_000_000);
    stalled.program.send(down);
    const other = await open(forward);
    const small = pattern(2_000_000, 3);
    other.program.send(small);
    await until(() => other.client.receivedBytes === small.length);
    expect(other.client.received.equals(small)).toBe(true);
    expect(forward.stats.bytesInPlace + forward.stats.bytesCopied).toBeLessThan(20_000_000);
    stalled.client.socket.resume();
    await until(() => stalled.client.receivedBytes === down.length);
    expect(stalled.client.received.equals(down)).toBe(true);
  });
});

describe("half-close", () => {
  test("the client's end reaches the guest, which can still answer", async () => {
    const { client, program } = await open(await start());
    client.socket.end("question");
    await until(() => program.ended);
    expect([program.received.toString(), program.closed]).toEqual(["question", undefined]);
    program.send("answer");
    program.end();
    await until(() => client.state === "closed");
    expect(client.received.toString()).toBe("answer");
    await until(() => program.closed !== undefined);
    expect(program.closed).toBe(0);
  });

  test("the guest's end reaches the client, which can still send", async () => {
    const { client, program } = await open(await start());
    program.send("done");
    program.end();
    await until(() => client.state === "ended");
    expect(client.received.toString()).toBe("done");
    client.socket.write("more");
    await until(() => program.received.toString() === "more");
    client.socket.end();
    await until(() => client.state === "closed" && program.closed !== undefined);
    expect(program.closed).toBe(0);
  });

  test("the guest's close delivers all that it sent before", async () => {
    const { client, program } = await open(await start());
    const down = pattern(1_000_000);
    client.socket.pause();
    program.send(down);
    program.end();
    setTimeout(() => client.socket.resume(), 20);
    await until(() => client.state === "ended");
    expect(client.received.equals(down)).toBe(true);
    client.socket.end();
  });
});

describe("ends that are not in order", () => {
  test("a client that aborts resets the guest's connection", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    client.socket.resetAndDestroy();
    await until(() => program.closed !== undefined);
    expect(program.closed).toBe(104);
    await until(() => forward.connections === 0 && forward.stats.open === 0);
  });

  test("a guest that resets resets the client", async () => {
    const { client, program } = await open(await start());
    program.connection.abort();
    await until(() => client.state === "reset" || client.state === "closed");
    expect(client.state).toBe("reset");
  });

  test("a port where nobody listens in the guest resets the client", async () => {
    const forward = await start({ guestPort: 81 });
    const client = new Client({ ...forward.address });
    client.socket.write("hello?");
    await until(() => client.state === "reset" || client.state === "closed");
    expect([forward.stats.opened, client.receivedBytes]).toEqual([0, 0]);
    await until(() => forward.connections === 0);
  });
});

describe("the forward itself", () => {
  test("a port in use is one clear error", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    await expect(start({ listen: { port } })).rejects.toMatchObject({
      code: "EADDRINUSE",
      message: `cannot listen on 127.0.0.1:${port}: somebody else listens there: choose another port, or stop the other program`,
    });
    await new Promise((resolve) => server.close(resolve));
  });

  test("a guest port that is none is the caller's bug", () => {
    expect(() => new TcpForward({ device: guest.device, listen: { port: 0 }, guestPort: 2 ** 32 })).toThrow(RangeError);
  });

  test("connections beyond the limit are closed at once; later ones are served again", async () => {
    const forward = await start({ maxConnections: 2 });
    const first = await open(forward);
    await open(forward);
    const third = new Client({ ...forward.address });
    await until(() => third.state !== "open");
    expect(programs.length).toBe(2);
    first.client.socket.resetAndDestroy();
    await until(() => forward.connections === 1);
    await open(forward);
  });

  test("close lets a transfer end within its time of grace", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    client.socket.on("end", () => client.socket.end());
    const closing = forward.close({ graceMs: 5000 });
    const late = new Client({ host: "127.0.0.1", port: Number(client.socket.remotePort) });
    program.send("last words");
    program.end();
    await closing;
    expect(client.received.toString()).toBe("last words");
    await until(() => late.state === "reset" || late.state === "closed");
  });

  test("close resets what does not end", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    await forward.close();
    await until(() => client.state === "reset" && program.closed !== undefined);
    expect(forward.connections).toBe(0);
  });
});

test("regression: a connection that is reset a second time, before the first is done, ends all the same", async () => {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const accepted = once(server, "connection");
  const client = new Client({ host: "127.0.0.1", port });
  const [socket] = (await accepted) as [Socket];
  const connections = new Connections();
  connections.add(socket);
  socket.on("error", () => {});
  reset(socket);
  // Node's end of the stream begins a few ticks later.
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => process.nextTick(resolve));
  // As when the client has gone meanwhile: Node cannot say any more who the peer was.
  Object.defineProperty(socket, "remoteFamily", { value: undefined });
  reset(socket);
  await connections.end({});
  await until(() => client.state === "reset" || client.state === "closed");
  await new Promise((resolve) => server.close(resolve));
});

test("regression: a socket whose reset fails is not waited for", async () => {
  const connections = new Connections();
  const socket = new Socket();
  socket.on("error", () => {});
  connections.add(socket);
  socket.emit("error", Object.assign(new Error("reset EINVAL"), { syscall: "reset" }));
  await connections.end({ graceMs: Number.POSITIVE_INFINITY });
  expect(connections.size).toBe(0);
});
