import type { Socket } from "node:net";
import { Writable } from "node:stream";
import { beforeEach, expect, test } from "vitest";
import { ToSocket, type ToSocketStats } from "./to-socket.ts";

/** A socket that says what it was given at once, and takes it when the test says so. */
class Client extends Writable {
  readonly connecting = false;
  readonly given: number[][] = [];
  readonly #taken: (() => void)[] = [];
  pace: "prompt" | "slow" = "prompt";

  override _write(bytes: Uint8Array, _encoding: string, callback: () => void): void {
    this.#give([bytes.length], callback);
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: () => void): void {
    this.#give(
      chunks.map(({ chunk }) => chunk.length),
      callback,
    );
  }

  #give(lengths: number[], callback: () => void): void {
    this.given.push(lengths);
    if (this.pace === "prompt") callback();
    else this.#taken.push(callback);
  }

  take(): void {
    this.#taken.shift()?.();
  }
}

let client: Client;
let out: ToSocket;
let stats: ToSocketStats;
let held: number;

beforeEach(() => {
  client = new Client({ highWaterMark: 1 << 20 });
  stats = { bytesInPlace: 0, bytesCopied: 0 };
  out = new ToSocket(client as unknown as Socket, stats);
  held = 0;
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function add(...lengths: number[]): void {
  for (const length of lengths) {
    held++;
    let life: "lent" | "released" = "lent";
    const release = (): void => {
      if (life === "released") throw new Error("released twice");
      life = "released";
      held--;
    };
    out.add({ bytes: new Uint8Array(length), length, release });
  }
}

test("what comes in one turn leaves in one go, in place, and the end behind it", async () => {
  add(300, 65_536, 65_536, 1_928);
  out.end();
  expect(client.given).toEqual([]);
  await turn();
  expect(client.given).toEqual([[300, 65_536, 65_536, 1_928]]);
  expect([held, client.writableFinished]).toEqual([0, true]);
  expect(stats).toEqual({ bytesInPlace: 133_300, bytesCopied: 0 });
});

test("a client that takes nothing holds what it was given; what follows is copied up to a limit, the rest waits", async () => {
  client.pace = "slow";
  add(1_000, 2_000);
  await turn();
  add(60_000, 5_000, 6_000);
  await turn();
  expect(client.given).toEqual([[1_000, 2_000]]);
  expect([held, stats.bytesCopied]).toEqual([2 + 1, 65_000]);
});

test("a client that was slow is given one chunk at a time, until it is prompt again", async () => {
  client.pace = "slow";
  add(1_000);
  await turn();
  client.take();
  await turn();
  add(1_000, 2_000);
  await turn();
  expect(client.given).toEqual([[1_000], [1_000]]);
  expect(held).toBe(1);
  client.pace = "prompt";
  client.take(); // and the copy behind it
  await turn();
  add(3_000, 4_000);
  await turn();
  expect(client.given.slice(2)).toEqual([[2_000], [3_000], [4_000]]);
  add(5_000, 6_000);
  await turn();
  expect(client.given.at(-1)).toEqual([5_000, 6_000]);
  expect(held).toBe(0);
});

test("nothing stays held when the socket is gone", async () => {
  client.pace = "slow";
  add(1_000, 2_000);
  await turn();
  add(65_000, 65_000);
  await turn();
  out.close();
  expect(held).toBe(0);
  add(1_000);
  client.take();
  await turn();
  expect(held).toBe(0);
  expect(out.ended).toBe(true);
});
