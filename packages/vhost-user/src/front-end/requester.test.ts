/** Requests and answers in a loop that polls: no event loop, no timers, and an answer that comes at once. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { libc } from "../ffi/libc.ts";
import { receiveBytes, sendBytes, socketPair } from "../ffi/unix-socket.ts";
import { encodeMessage, HEADER_SIZE, Request } from "../protocol/message.ts";
import { u64 } from "../protocol/payloads.ts";
import { Requester } from "./requester.ts";

vi.setConfig({ testTimeout: 60_000 });

let requester: Requester;
let peer: number;
const lost: string[] = [];

function connect(timeoutMs: number): void {
  const [ours, theirs] = socketPair();
  peer = theirs;
  requester = new Requester({ fd: ours, timeoutMs, lost: (reason) => void lost.push(reason) });
}

beforeEach(() => connect(60_000));
afterEach(() => {
  requester.close();
  libc().close(peer);
  lost.length = 0;
});

describe("Requester", () => {
  test.each([0, 1, 2, 3])("an answer that comes %i microtasks after its request is its answer", async (microtasks) => {
    const features = requester.askNumber(Request.GetFeatures);
    let asked = receiveBytes(peer, HEADER_SIZE);
    for (; asked === undefined; asked = receiveBytes(peer, HEADER_SIZE)) await undefined;
    for (let i = 0; i < microtasks; i++) await undefined;
    sendBytes(peer, encodeMessage(Request.GetFeatures, u64(5n), "reply"), []);
    expect(requester.pump()).toBe(true);
    expect(await features).toBe(5n);
    expect(lost).toEqual([]);
  });

  const COUNT = 5_000;
  const BYTES = COUNT * (HEADER_SIZE + 8);

  /** More than the socket takes while nobody reads. How each of them ended, once all have. */
  async function fill(): Promise<{ outcomes: readonly PromiseSettledResult<string>[] | undefined }> {
    const state: { outcomes: readonly PromiseSettledResult<string>[] | undefined } = { outcomes: undefined };
    const told = Array.from({ length: COUNT }, (_, i) => requester.tellNumber(Request.SetFeatures, BigInt(i)));
    void Promise.allSettled(told).then((outcomes) => {
      state.outcomes = outcomes;
    });
    for (let i = 0; i < 10 * COUNT; i++) await undefined;
    expect(state.outcomes).toBeUndefined();
    return state;
  }

  test("a full socket: a loop that polls goes on as soon as the peer has read, without timers", async () => {
    const state = await fill();
    let received = 0;
    for (let turns = 0; received < BYTES && turns < 100 * COUNT; turns++) {
      received += receiveBytes(peer, HEADER_SIZE + 8)?.bytes.length ?? 0;
      requester.pump();
      for (let i = 0; i < 4; i++) await undefined;
    }
    expect(received).toBe(BYTES);
    for (let i = 0; i < 10 && state.outcomes === undefined; i++) await undefined;
    expect(state.outcomes?.every(({ status }) => status === "fulfilled")).toBe(true);
  });

  test("a full socket, and nobody ever reads: told in time, also in a loop that polls", async () => {
    requester.close();
    libc().close(peer);
    connect(50);
    const state = await fill();
    while (state.outcomes === undefined) {
      requester.pump();
      await undefined;
    }
    expect(state.outcomes.at(-1)).toMatchObject({ status: "rejected", reason: { code: "ERR_TRANSPORT" } });
    expect(lost).toEqual(["it has not read SET_FEATURES in time"]);
  });
});
