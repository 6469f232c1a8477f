/** A device that lies, dawdles or dies: every call ends, with an errno; every buffer comes back; nothing is believed. */
import { Errno } from "@toril/virtio/platform";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryFileSystem } from "../device/index.ts";
import { ScriptedFuseDevice, type ScriptedRequest } from "../testing/scripted-fuse-device.ts";
import { TestMount } from "../testing/test-mount.ts";
import { Opcode } from "../wire/index.ts";

let device: ScriptedFuseDevice;
let mount: TestMount;

beforeEach(async () => {
  const fs = new MemoryFileSystem();
  fs.addFile("/d/f", new Uint8Array(300_000).fill(7));
  device = new ScriptedFuseDevice(fs);
  mount = await TestMount.start(device, { cache: { mode: "auto", bytes: 2 ** 20 } });
});

afterEach(async () => {
  await mount.run(mount.driver.close());
  expect(mount.heap.stats().bytesInUse).toBe(0);
});

/** A reply: fuse_out_header and payload, with the given untruths. */
function reply(
  request: ScriptedRequest,
  {
    length,
    error = 0,
    unique = request.unique,
    payload = 0,
  }: Partial<Record<"length" | "error" | "unique" | "payload", number>>,
): Uint8Array {
  const bytes = new Uint8Array(16 + payload);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length ?? bytes.length, true);
  view.setInt32(4, error, true);
  view.setBigUint64(8, BigInt(unique), true);
  return bytes;
}

const untruths: Record<
  string,
  (request: ScriptedRequest) => Uint8Array | "drop" | { bytes: Uint8Array; used: number }
> = {
  "nothing written at all": () => "drop",
  "a reply shorter than its header": (request) => ({ bytes: reply(request, {}), used: 15 }),
  "len larger than what was written": (request) => reply(request, { length: 17 + 128 }),
  "len smaller than a header": (request) => reply(request, { length: 8 }),
  "another request's unique": (request) => reply(request, { unique: request.unique + 2 }),
  "a positive error": (request) => reply(request, { error: 2 }),
  "an error beyond 511": (request) => reply(request, { error: -512 }),
  "an error with a payload": (request) => reply(request, { error: -2, payload: 4 }),
  "success without its payload": (request) => reply(request, {}),
  "a payload one byte short": (request) => reply(request, { payload: 127 }),
};

describe("fs/fuse/dev.c rules for replies: a violation fails the session with EIO", () => {
  test.each(Object.keys(untruths))("%s", async (name) => {
    device.script = (request) => (request.opcode === Opcode.Lookup ? untruths[name]?.(request) : undefined);
    await expect(mount.run(mount.calls.stat("/d/f"))).rejects.toMatchObject({ code: "EIO", syscall: "stat" });
    expect(mount.driver.failure).toContain("LOOKUP");
    await expect(mount.run(mount.calls.stat("/"))).rejects.toMatchObject({ code: "EIO" });
    expect(mount.calls.tryStat("/")).toBe(-Errno.EAGAIN);
    expect(device.context).toBeUndefined(); // it was reset
  });

  test("regression, the Rust virtiofsd: DESTROY without a reply ends the session in order", async () => {
    await mount.run(mount.calls.stat("/d/f"));
    device.script = (request) => (request.opcode === Opcode.Destroy ? "drop" : undefined);
    await mount.run(mount.driver.close());
    expect(mount.driver.failure).toBeUndefined();
  });

  test("WRITE that says it wrote more than it got", async () => {
    const file = await mount.run(mount.calls.open("/d/f", { mode: "r+" }));
    device.script = (request) => {
      if (request.opcode !== Opcode.Write) return undefined;
      const bytes = reply(request, { payload: 8 });
      bytes[16] = 200;
      return bytes;
    };
    await expect(mount.run(mount.calls.pwrite(file, new Uint8Array(100), 0))).rejects.toMatchObject({ code: "EIO" });
    expect(mount.driver.failure).toContain("200 of 100");
  });

  test("READDIR with a slash in a name", async () => {
    device.script = (request) => {
      if (request.opcode !== Opcode.Readdir) return undefined;
      const bytes = reply(request, { payload: 32 });
      bytes.set([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0x61, 0x2f, 0x62], 16);
      return bytes;
    };
    await expect(mount.run(mount.calls.readdir("/"))).rejects.toMatchObject({ code: "EIO" });
    expect(mount.driver.failure).toContain("slash");
  });

  test("random bytes in place of any reply: every call ends, nothing throws out of the driver", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.constant(undefined), fc.uint8Array({ minLength: 0, maxLength: 200 })), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.boolean(),
        async (answers, believable) => {
          const fs = new MemoryFileSystem();
          fs.addFile("/d/f", new Uint8Array(100_000));
          const liar = new ScriptedFuseDevice(fs);
          const tried = await TestMount.start(liar);
          let next = 0;
          liar.script = (request) => {
            const answer = answers[next++];
            if (answer === undefined || request.queue === 0) return undefined;
            if (!believable || answer.length < 16) return answer;
            answer.set(reply(request, { length: Math.min(answer.length, request.room) }), 0);
            return answer;
          };
          const { calls } = tried;
          const all = Promise.allSettled([
            calls.stat("/d/f"),
            calls.open("/d/f").then((file) => calls.read(file, new Uint8Array(100_000))),
            calls.readdir("/", { plus: true }),
            calls.readlink("/d"),
            calls.statfs(),
            calls.open("/d/new", { mode: "w" }).then((file) => calls.write(file, new Uint8Array(10))),
          ]);
          for (const outcome of await tried.run(all)) {
            if (outcome.status === "rejected") expect(outcome.reason).toHaveProperty("errno");
          }
          await tried.run(tried.driver.close());
          expect(tried.heap.stats().bytesInUse).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("a device that does not answer", () => {
  test("INIT: the driver gives up after its time", async () => {
    const silent = new ScriptedFuseDevice(new MemoryFileSystem());
    silent.script = () => "hold";
    await expect(TestMount.start(silent, { sessionTimeoutMs: 500 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(silent.context).toBeUndefined();
  });

  test.each([6, 8])("INIT: FUSE %i is refused with EPROTO", async (major) => {
    const other = new ScriptedFuseDevice(new MemoryFileSystem());
    other.script = (request) => {
      const bytes = reply(request, { payload: 64 });
      bytes.set([major, 0, 0, 0, 40], 16);
      return bytes;
    };
    await expect(TestMount.start(other)).rejects.toMatchObject({
      code: "EPROTO",
      message: expect.stringContaining(`${major}.40`),
    });
  });

  test("timeoutMs and AbortSignal end the wait at once; the late answer is taken in", async () => {
    device.script = (request) => (request.opcode === Opcode.Lookup ? "hold" : undefined);
    await expect(mount.run(mount.calls.stat("/d", { timeoutMs: 5 }))).rejects.toMatchObject({ code: "ETIMEDOUT" });
    const abort = new AbortController();
    const stat = mount.driver.callsFor({ signal: abort.signal }).stat("/d/f");
    abort.abort("enough");
    await expect(mount.run(stat)).rejects.toMatchObject({ code: "ECANCELED", cause: "enough" });
    device.script = () => undefined;
    device.release();
    await mount.idle();
    expect(mount.calls.tryStat("/d")).toMatchObject({ type: "directory" });
    expect(mount.driver.stats.inFlight).toBe(0);
  });

  test("a guest buffer comes back only when the device returns it: the cancelled pread waits for that", async () => {
    const file = await mount.run(mount.calls.open("/d/f"));
    device.script = (request) => (request.opcode === Opcode.Read ? "hold" : undefined);
    const buffer = mount.buffer(4096);
    const read = mount.calls.pread(file, { buffer, offset: 0, length: 4096 }, 0, { timeoutMs: 10 });
    let ended = false;
    read
      .catch(() => undefined)
      .finally(() => (ended = true))
      .catch(() => undefined);
    await mount.idle();
    mount.clock.advance(100);
    await mount.idle();
    expect(device.requests.some((request) => request.opcode === Opcode.Interrupt)).toBe(true);
    expect([ended, buffer.state]).toEqual([false, "lent-to-write"]);
    device.release();
    await expect(mount.run(read)).rejects.toMatchObject({ code: "ETIMEDOUT" });
    expect(buffer.state).toBe("owned");
    buffer.free();
    device.script = () => undefined;
    await mount.run(mount.calls.close(file));
  });

  test("open that is cancelled: the handle is released when the answer comes after all", async () => {
    device.script = (request) => (request.opcode === Opcode.Open ? "hold" : undefined);
    await expect(mount.run(mount.calls.open("/d/f", { timeoutMs: 10 }))).rejects.toMatchObject({ code: "ETIMEDOUT" });
    device.script = () => undefined;
    device.release();
    await mount.idle();
    expect(device.requests.at(-1)?.opcode).toBe(Opcode.Release);
  });
});

describe("a device that dies", () => {
  test.each(["deviceLost", "needsReset", "close"] as const)(
    "%s: calls under way end, lent buffers come back",
    async (how) => {
      const { calls } = mount;
      const file = await mount.run(calls.open("/d/f"));
      device.script = (request) => (request.opcode === Opcode.Destroy ? undefined : "hold");
      const buffer = mount.buffer(200_000);
      const pending = [
        calls.pread(file, { buffer, offset: 0, length: 200_000 }, 0),
        calls.read(file, new Uint8Array(100)),
        calls.stat("/d/other"),
        calls.pin(file, 0, 10),
      ];
      const all = Promise.allSettled(pending);
      await mount.idle();
      if (how === "deviceLost") await mount.run(mount.driver.deviceLost("its thread died"));
      else if (how === "needsReset") device.context?.needsReset("a test");
      else await mount.run(mount.driver.close());
      const code = how === "close" ? "ENOTCONN" : "EIO";
      for (const outcome of await mount.run(all))
        expect(outcome).toMatchObject({ status: "rejected", reason: { code } });
      expect(buffer.state).toBe("owned");
      buffer.free();
    },
  );
});

describe("a device that never answers", () => {
  test("answerTimeoutMs: every call ends with EIO, in time, and lent buffers come back", async () => {
    const limited = await TestMount.start(device, { answerTimeoutMs: 5000 });
    const { calls, clock } = limited;
    const file = await limited.run(calls.open("/d/f"));
    clock.advance(60_000); // nothing is under way: nothing is late
    await limited.idle();
    expect(limited.driver.failure).toBeUndefined();
    device.script = () => "hold";
    const buffer = limited.buffer(4096);
    const began = clock.now();
    const first = calls.pread(file, { buffer, offset: 0, length: 4096 }, 100_000);
    await limited.idle();
    clock.advance(4000);
    await limited.idle();
    device.release(); // in time
    await limited.run(first);
    const late = Promise.allSettled([
      calls.pread(file, { buffer, offset: 0, length: 4096 }, 200_000),
      calls.stat("/d/other"),
      calls.fsync(file),
    ]);
    for (const outcome of await limited.run(late)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "EIO" } });
    }
    // 4 s that passed before, the 5 s, and what the device may take to be reset.
    expect(clock.now() - began).toBeGreaterThanOrEqual(9000);
    expect(clock.now() - began).toBeLessThanOrEqual(11_000);
    expect(limited.driver.failure).toMatch(/no answer to READ in 5000 ms/);
    expect(buffer.state).toBe("owned");
    buffer.free();
    await limited.run(limited.driver.close());
    expect(limited.heap.stats().bytesInUse).toBe(0);
    device.script = () => undefined;
    await mount.run(mount.driver.close());
  });

  test("answerTimeoutMs: an answer that came while the thread was busy is no late one", async () => {
    const limited = await TestMount.start(device, { answerTimeoutMs: 5000 });
    const stat = limited.calls.stat("/d/f");
    for (let i = 0; i < 20; i++) await Promise.resolve();
    limited.host.poll(); // answered, and the driver has not looked yet
    limited.clock.advance(6000);
    expect(limited.driver.failure).toBeUndefined();
    expect((await limited.run(stat)).size).toBe(300_000);
    await limited.run(limited.driver.close());
    await mount.run(mount.driver.close());
  });
});

describe("exhaustion waits, and nothing is lost", () => {
  test("more calls than slots and ring entries: all are answered, in turn", async () => {
    const fs = new MemoryFileSystem();
    for (let i = 0; i < 50; i++) fs.addFile(`/f${i}`, `${i}`);
    const small = new ScriptedFuseDevice(fs, 1, 4);
    const tight = await TestMount.start(small, { maxRequests: 8, cache: { mode: "none" } });
    const sizes = await tight.run(Promise.all(Array.from({ length: 50 }, (_, i) => tight.calls.stat(`/f${i}`))));
    expect(sizes.map((stat) => stat.size)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`.length));
    expect(tight.driver.stats.ringFullWaits).toBeGreaterThan(0);
  });

  test("no guest memory: reads go on through the reserve, one after another", async () => {
    const file = await mount.run(mount.calls.open("/d/f"));
    const hog = [];
    for (let size = 2 ** 20; size >= 4096; size /= 2) {
      for (let taken = mount.heap.allocateDma(size); taken !== undefined; taken = mount.heap.allocateDma(size))
        hog.push(taken);
    }
    const targets = Array.from({ length: 5 }, () => new Uint8Array(300_000));
    const counts = await mount.run(Promise.all(targets.map((target) => mount.calls.pread(file, target, 0))));
    expect(counts).toEqual(targets.map(() => 300_000));
    expect(targets.every((target) => target.every((byte) => byte === 7))).toBe(true);
    for (const taken of hog) taken.free();
    await mount.run(mount.calls.close(file));
  });
});
