// The server over the real socket calls, driver, rings and device.
import { createStack, type Stack } from "@toril/sockets/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { HttpServer, type LentBody } from "./index.ts";
import { bodyOf } from "./testing/harness.ts";

let stack: Stack;
beforeEach(async () => {
  stack = await createStack();
});
afterEach(() => stack.loopback.driver.close());

it("a guest buffer goes to the client without being copied in the guest", async () => {
  const sockets = stack.layer.callsFor();
  const file = stack.loopback.heap.allocateDma(500_000);
  if (file === undefined) throw new Error("no memory");
  for (let index = 0; index < file.length; index++) file.writable[index] = 97 + (index % 26);
  let done = 0;
  const body = (): LentBody => {
    let at = 0;
    return {
      length: file.length,
      next() {
        if (at === file.length) return undefined;
        const length = Math.min(131_072, file.length - at);
        const piece = { buffer: file, offset: at, length, done: () => void done++ };
        at += length;
        return piece;
      },
      close: () => {},
    };
  };
  const server = new HttpServer(
    {
      sockets,
      clock: stack.clock,
      wallClock: () => 0,
      spawn: (task) => void task(stack.layer.callsFor()),
    },
    {},
    () => ({ status: 200, body: body() }),
  );
  const listener = sockets.socket();
  sockets.setOption(listener, "txPath", "zero-copy");
  sockets.bind(listener, 80);
  sockets.listen(listener);
  void server.serve(listener);

  const client = sockets.socket();
  await stack.settle(sockets.connect(client, { cid: stack.relayCid, port: 80 }));
  const question = Buffer.from("GET / HTTP/1.1\r\nHost: guest\r\n\r\n");
  const rounds = 3;
  const copiedBefore = stack.loopback.driver.stats.txCopied.userToPacket;
  for (let round = 1; round <= rounds; round++) {
    await stack.settle(sockets.send(client, question));
    let text = "";
    const target = new Uint8Array(100_000);
    while (bodyOf(text).length < file.length || !text.includes("\r\n\r\n")) {
      const count = await stack.settle(sockets.recv(client, target));
      text += Buffer.from(target.subarray(0, count)).toString("latin1");
    }
    expect(bodyOf(text)).toBe(Buffer.from(file.bytes).toString("latin1"));
  }
  stack.loopback.settle();
  expect([done, file.state]).toEqual([rounds * 4, "owned"]);
  const copied = stack.loopback.driver.stats.txCopied.userToPacket - copiedBefore;
  const heads = server.stats.responses[2] ?? 0;
  // Only heads: what the server sent beside the file. The questions are the client's, which is in the same guest.
  expect(heads).toBe(rounds);
  expect(copied - rounds * question.length).toBeLessThan(rounds * 150);
  await stack.settle(server.close());
});

it("many clients at once get their own answers, and nothing is left open", async () => {
  const sockets = stack.layer.callsFor();
  const threads: ReturnType<typeof stack.layer.callsFor>[] = [];
  const server = new HttpServer(
    {
      sockets,
      clock: stack.clock,
      wallClock: () => 0,
      spawn: (task) => {
        const own = stack.layer.callsFor();
        threads.push(own);
        void task(own).then(() => own.closeAll());
      },
    },
    {},
    (request) => ({ status: 200, body: `[${request.path}]`.repeat(2000) }),
  );
  const listener = sockets.socket();
  sockets.bind(listener, 80);
  sockets.listen(listener);
  void server.serve(listener);
  const clients = Array.from({ length: 50 }, async (_, index) => {
    const client = sockets.socket();
    await sockets.connect(client, { cid: stack.relayCid, port: 80 });
    await sockets.send(client, Buffer.from(`GET /${index} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
    let text = "";
    const target = new Uint8Array(4096);
    for (let count = 1; count > 0; ) {
      count = await sockets.recv(client, target);
      text += Buffer.from(target.subarray(0, count)).toString("latin1");
    }
    sockets.close(client);
    return bodyOf(text);
  });
  const answers = await stack.settle(Promise.all(clients));
  expect(answers).toEqual(clients.map((_, index) => `[/${index}]`.repeat(2000)));
  await stack.settle(server.close());
  expect(threads.map((own) => own.openSockets)).toEqual(threads.map(() => 0));
  expect(sockets.closeAll()).toBe(0);
});
