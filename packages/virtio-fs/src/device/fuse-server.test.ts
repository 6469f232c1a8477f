import { Errno, SystemError } from "@toril/virtio/platform";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fuseRequest,
  initRequest,
  nulled,
  parseReply,
  type Reply,
  readArguments,
  words,
  writeArguments,
} from "../testing/fuse-requests.ts";
import {
  createEntryOut,
  createInitOut,
  DirentReader,
  InitFlag,
  Opcode,
  readEntryOut,
  readInitOut,
} from "../wire/index.ts";
import { PENDING } from "./exchange.ts";
import type { Entry, FileHandle, FileSystem, NodeId } from "./file-system.ts";
import { SegmentMessage } from "./fuse-message.ts";
import { FuseServer } from "./fuse-server.ts";
import { MemoryFileSystem } from "./memory/memory-file-system.ts";

const never = (): void => {
  throw new Error("answered a second time");
};

/** A server with a client's means: send, and look at the reply. */
class Client {
  readonly complaints: string[] = [];
  readonly server: FuseServer;

  constructor(fileSystem: FileSystem) {
    const complain = (message: string, fields?: object): void => {
      this.complaints.push(`${message} ${JSON.stringify(fields ?? {})}`);
    };
    this.server = new FuseServer({
      fileSystem,
      log: { debug() {}, info() {}, warn: complain, error: complain },
    });
  }

  static started(fileSystem: FileSystem): Client {
    const client = new Client(fileSystem);
    client.raw(initRequest());
    return client;
  }

  /** The reply; `undefined` when nothing was written. */
  raw(bytes: Uint8Array, room = 70_000): Reply | undefined {
    const out = new Uint8Array(room);
    const written = this.server.serve(new SegmentMessage([bytes], [out]), never);
    expect(written).not.toBe(PENDING);
    expect(out.subarray(written).every((byte) => byte === 0)).toBe(true);
    return written === 0 ? undefined : parseReply(out, written);
  }

  call(opcode: number, parts: Uint8Array[], node: number | bigint = 1, room?: number): Reply {
    const reply = this.raw(fuseRequest(opcode, parts, { node, unique: 7 }), room);
    if (reply === undefined) throw new Error("no reply");
    expect(reply.unique).toBe(7n);
    return reply;
  }

  errno(opcode: number, parts: Uint8Array[], node: number | bigint = 1, room?: number): number {
    return this.call(opcode, parts, node, room).errno;
  }

  lookup(name: string, node = 1): number {
    const reply = this.call(Opcode.Lookup, [nulled(name)], node);
    expect(reply.errno).toBe(0);
    const entry = createEntryOut();
    readEntryOut(reply.payload, 0, entry);
    return entry.node.low;
  }

  open(node: number, flags = 0): number {
    const reply = this.call(Opcode.Open, [words(flags, 0)], node);
    expect(reply.errno).toBe(0);
    return reply.payload[0] ?? 0;
  }
}

function withFile(content = "hello world"): { fs: MemoryFileSystem; client: Client } {
  const fs = new MemoryFileSystem();
  fs.addFile("a", content);
  return { fs, client: Client.started(fs) };
}

describe("FUSE_INIT", () => {
  const init = (request: Uint8Array, room?: number) => {
    const reply = new Client(new MemoryFileSystem()).raw(request, room);
    const out = createInitOut();
    if (reply !== undefined && reply.errno === 0) readInitOut(reply.payload, 0, reply.payload.length, out);
    return { reply, out };
  };

  test("FUSE 7.38: 1 MiB writes in 256 pages, the smaller minor version, and only what both can", () => {
    const { reply, out } = init(initRequest({ minor: 99 }));
    expect(reply?.payload.length).toBe(64);
    expect(out).toMatchObject({ major: 7, minor: 38, maxWrite: 0x10_0000, maxPages: 256, maxReadahead: 0x10_0000 });
    for (const flag of [InitFlag.MaxPages, InitFlag.DoReaddirplus, InitFlag.BigWrites])
      expect(out.flags & flag).toBe(flag);
    for (const flag of [InitFlag.ExportSupport, InitFlag.PosixLocks, InitFlag.WritebackCache, InitFlag.DontMask]) {
      expect(out.flags & flag).toBe(0);
    }
    expect(init(initRequest({ flags: InitFlag.BigWrites })).out).toMatchObject({
      flags: InitFlag.BigWrites,
      maxWrite: 131_072,
      maxPages: 0,
    });
  });
  test("FUSE 7.22 and older: the reply has 24 bytes", () => {
    expect(init(initRequest({ minor: 22 })).reply?.payload.length).toBe(24);
    expect(init(initRequest({ minor: 23 })).reply?.payload.length).toBe(64);
  });
  test("fuse.h: to a larger major version the answer is ours alone, and the session waits for another INIT", () => {
    const client = new Client(new MemoryFileSystem());
    const reply = client.raw(initRequest({ major: 8, minor: 1 }));
    expect([reply?.errno, reply?.payload.length, reply?.payload[0]]).toEqual([0, 24, 7]);
    expect(client.errno(Opcode.Lookup, [nulled("a")])).toBe(Errno.EIO);
    expect(client.raw(initRequest())?.errno).toBe(0);
    expect(client.errno(Opcode.Lookup, [nulled("a")])).toBe(Errno.ENOENT);
  });
  test("a version that is too old is EPROTO", () => {
    expect(init(initRequest({ major: 6 })).reply?.errno).toBe(Errno.EPROTO);
    expect(init(initRequest({ minor: 11 })).reply?.errno).toBe(Errno.EPROTO);
  });
  test("anything before INIT is EIO, and FORGET is ignored", () => {
    const client = new Client(new MemoryFileSystem());
    expect(client.errno(Opcode.Getattr, [new Uint8Array(16)])).toBe(Errno.EIO);
    expect(client.raw(fuseRequest(Opcode.Forget, [words(1, 0)]))).toBeUndefined();
    expect(client.raw(fuseRequest(0x1a00_0000, []))?.errno).toBe(Errno.EIO);
    expect(client.complaints.at(-1)).toMatch("big-endian");
  });
  test("§5.11.6.1: a second INIT ends the session and starts another", () => {
    const { client } = withFile();
    const handle = client.open(client.lookup("a"));
    expect(client.raw(initRequest())?.errno).toBe(0);
    expect(client.errno(Opcode.Read, [readArguments(handle, 0, 5)], client.lookup("a"))).toBe(Errno.EBADF);
  });
  test("DESTROY ends the session: EIO until the next INIT, and every handle is gone", () => {
    const { client } = withFile();
    expect(client.errno(Opcode.Destroy, [])).toBe(0);
    expect(client.errno(Opcode.Statfs, [])).toBe(Errno.EIO);
    expect(client.raw(initRequest())?.errno).toBe(0);
    client.lookup("a");
  });
});

describe("requests that cannot be understood", () => {
  test("shorter than a header: dropped, because nothing says whom to answer", () => {
    const { client } = withFile();
    expect(client.raw(new Uint8Array(39))).toBeUndefined();
    expect(client.raw(new Uint8Array(0))).toBeUndefined();
    expect(client.server.stats.malformed).toBe(2);
  });
  test("a length that is more than there is, or less than a header, is EINVAL", () => {
    const { client } = withFile();
    const send = (length: number) => client.raw(fuseRequest(Opcode.Statfs, [], { length, unique: 3 }))?.errno;
    expect([send(41), send(0xffff_ffff), send(39), send(0), send(40)]).toEqual([22, 22, 22, 22, 0]);
    expect(client.raw(fuseRequest(Opcode.Statfs, [], { extensionUnits: 1 }))?.errno).toBe(Errno.EINVAL);
  });
  test("arguments that are cut off are EINVAL", () => {
    const { client } = withFile();
    const withoutReply: number[] = [Opcode.Forget, Opcode.BatchForget];
    const withoutArguments: number[] = [Opcode.Statfs, Opcode.Readlink, Opcode.Destroy];
    for (const opcode of Object.values(Opcode)) {
      if (withoutArguments.includes(opcode)) continue;
      const reply = client.raw(fuseRequest(opcode, []));
      if (withoutReply.includes(opcode)) expect(reply).toBeUndefined();
      else expect([Errno.EINVAL, Errno.ENOSYS] as (number | undefined)[]).toContain(reply?.errno);
    }
  });
  test("an opcode that nobody knows is ENOSYS", () => {
    const { client } = withFile();
    for (const opcode of [0, 7, 4096, 0xffff_ffff, Opcode.Ioctl, Opcode.Setxattr]) {
      expect(client.errno(opcode, [])).toBe(Errno.ENOSYS);
    }
  });
  test("names: empty, with a slash, dots and without NUL are EINVAL, long ones ENAMETOOLONG", () => {
    const { client } = withFile();
    const lookup = (part: Uint8Array): number => client.errno(Opcode.Lookup, [part]);
    for (const bad of ["", ".", "..", "a/b", "/", "../a"]) expect(lookup(nulled(bad))).toBe(Errno.EINVAL);
    expect(lookup(Uint8Array.of(0x61))).toBe(Errno.EINVAL);
    expect(lookup(nulled("x".repeat(255)))).toBe(Errno.ENOENT);
    expect(lookup(nulled("x".repeat(256)))).toBe(Errno.ENAMETOOLONG);
    expect(lookup(nulled("x".repeat(60_000)))).toBe(Errno.ENAMETOOLONG);
    expect(lookup(nulled("..."))).toBe(Errno.ENOENT);
    expect(client.errno(Opcode.Rename, [words(1, 0), nulled("a"), Uint8Array.of(0x62)])).toBe(Errno.EINVAL);
    expect(client.errno(Opcode.Symlink, [nulled("s"), nulled("t".repeat(4096))])).toBe(Errno.ENAMETOOLONG);
    expect(client.errno(Opcode.Symlink, [nulled("s"), nulled("t".repeat(4095))])).toBe(0);
  });
  test("ids that can be none of ours are ESTALE and EBADF", () => {
    const { client } = withFile();
    expect(client.errno(Opcode.Lookup, [nulled("a")], 2n ** 64n - 1n)).toBe(Errno.ESTALE);
    expect(client.errno(Opcode.Lookup, [nulled("a")], 0)).toBe(Errno.ESTALE);
    expect(client.errno(Opcode.Getattr, [words(1, 0, 0xffff_ffff, 0xffff_ffff)], 1)).toBe(Errno.EBADF);
    expect(client.errno(Opcode.Link, [words(0, 0xffff_ffff), nulled("b")])).toBe(Errno.ESTALE);
  });
  test("a reply that would not fit is not begun: no lookup is counted, no file made", () => {
    const { fs, client } = withFile();
    const node = client.lookup("a");
    expect(client.errno(Opcode.Lookup, [nulled("a")], 1, 16 + 127)).toBe(Errno.EINVAL);
    expect(client.errno(Opcode.Create, [words(2, 0o644, 0, 0), nulled("new")], 1, 16 + 143)).toBe(Errno.EINVAL);
    expect(client.raw(fuseRequest(Opcode.Lookup, [nulled("a")]), 15)).toBeUndefined();
    fs.unlink(1 as NodeId, new TextEncoder().encode("a"));
    client.raw(fuseRequest(Opcode.Forget, [words(1, 0)], { node }));
    expect(client.errno(Opcode.Getattr, [new Uint8Array(16)], node)).toBe(Errno.ESTALE);
    expect(client.errno(Opcode.Lookup, [nulled("new")])).toBe(Errno.ENOENT);
  });
  test("complaints are bounded, and counted all the same", () => {
    const { client } = withFile();
    for (let i = 0; i < 1000; i++) client.raw(new Uint8Array(10));
    expect(client.complaints.length).toBe(17);
    expect(client.server.stats.malformed).toBe(1000);
  });
  test("whatever arrives, nothing throws and the reply is well formed", () => {
    const { client } = withFile();
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(Opcode)),
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 0, max: 3 }),
        fc.nat(300),
        (opcode, args, node, room) => {
          client.raw(fuseRequest(opcode, [args], { node }), room);
          if (opcode === Opcode.Destroy) client.raw(initRequest());
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("READ and WRITE", () => {
  test("FUSE_READ: bytes land behind the header in the guest's own segments, however they are cut", () => {
    const { client } = withFile("0123456789abcdefghij");
    const node = client.lookup("a");
    const handle = client.open(node);
    const request = fuseRequest(Opcode.Read, [readArguments(handle, 2, 18)], { node });
    for (const sizes of [[34], [16, 18], [10, 10, 14], [1, 15, 1, 17], [20, 100]]) {
      const out = sizes.map((size) => new Uint8Array(size));
      const cuts = [request.subarray(0, 13), request.subarray(13)];
      const written = client.server.serve(new SegmentMessage(cuts, out), never);
      const all = Uint8Array.from(out.flatMap((part) => [...part]));
      const reply = parseReply(all, written);
      expect(new TextDecoder().decode(reply.payload)).toBe("23456789abcdefghij");
    }
  });
  test("FUSE_READ: fewer bytes at the end, none behind it", () => {
    const { client } = withFile("12345");
    const node = client.lookup("a");
    const handle = client.open(node);
    const read = (offset: number, size: number) =>
      client.call(Opcode.Read, [readArguments(handle, offset, size)], node);
    expect(read(3, 100).payload.length).toBe(2);
    expect(read(5, 100)).toMatchObject({ errno: 0, payload: new Uint8Array(0) });
    expect(read(0, 0)).toMatchObject({ errno: 0, payload: new Uint8Array(0) });
  });
  test("FUSE_READ: never cut short by a small buffer or an offset out of range: that would look like the end", () => {
    const { client } = withFile();
    const node = client.lookup("a");
    const handle = client.open(node);
    const read = (offset: number | bigint, size: number, room?: number) =>
      client.errno(Opcode.Read, [readArguments(handle, offset, size)], node, room);
    expect(read(0, 11, 26)).toBe(Errno.EINVAL);
    expect(read(0, 11, 27)).toBe(0);
    expect(read(0, 0x10_0001, 0x10_0100)).toBe(Errno.EINVAL);
    expect(read(2n ** 63n, 1)).toBe(Errno.EINVAL);
    expect(read(2 ** 53 - 1, 1)).toBe(Errno.EINVAL);
  });
  test("FUSE_WRITE: bytes come from the guest's own segments", () => {
    const { fs, client } = withFile("..........");
    const node = client.lookup("a");
    const handle = client.open(node, 2);
    const bytes = fuseRequest(Opcode.Write, [writeArguments(handle, 3, 4), words(0x64636261)], { node });
    const out = new Uint8Array(24);
    const message = new SegmentMessage([bytes.subarray(0, 81), bytes.subarray(81)], [out]);
    expect(parseReply(out, client.server.serve(message, never)).payload[0]).toBe(4);
    expect(new TextDecoder().decode(fs.readFile("a"))).toBe("...abcd...");
  });
  test("FUSE_WRITE: a size that is more than there is, than max_write, or beyond 2^53 is refused", () => {
    const { client } = withFile();
    const node = client.lookup("a");
    const handle = client.open(node, 2);
    const write = (offset: number, size: number, data: number) =>
      client.errno(Opcode.Write, [writeArguments(handle, offset, size), new Uint8Array(data)], node);
    expect(write(0, 5, 4)).toBe(Errno.EINVAL);
    expect(write(0, 0x10_0001, 0x10_0001)).toBe(Errno.EINVAL);
    expect(write(0, 0x10_0000, 0x10_0000)).toBe(0);
    expect(write(Number.MAX_SAFE_INTEGER, 1, 1)).toBe(Errno.EFBIG);
  });
});

describe("READDIR", () => {
  function fill(count: number): Client {
    const fs = new MemoryFileSystem();
    for (let i = 0; i < count; i++) fs.addFile(`file-${i}`, "");
    return Client.started(fs);
  }
  function list(client: Client, opcode: number, size: number): { names: string[]; nodes: number[] } {
    const handle = client.call(Opcode.Opendir, [words(0, 0)]).payload[0] ?? 0;
    const [names, nodes]: [string[], number[]] = [[], []];
    const reader = new DirentReader();
    let offset = 0;
    for (;;) {
      const { payload, errno } = client.call(opcode, [readArguments(handle, offset, size)]);
      expect(errno).toBe(0);
      if (payload.length === 0) return { names, nodes };
      reader.start(payload, 0, payload.length, opcode === Opcode.Readdirplus ? "direntplus" : "dirent");
      while (reader.next()) {
        names.push(new TextDecoder().decode(payload.subarray(reader.nameStart, reader.nameEnd)));
        nodes.push(reader.entry.node.low);
        offset = reader.offset.low;
      }
      expect(reader.malformed).toBeUndefined();
    }
  }

  test("FUSE_READDIR and READDIRPLUS: every item once, in replies of any size", () => {
    const expected = [".", "..", ...[...Array(50).keys()].map((i) => `file-${i}`)].sort();
    for (const size of [168, 500, 4096, 60_000]) {
      expect(list(fill(50), Opcode.Readdir, size).names.sort()).toEqual(expected);
      expect(list(fill(50), Opcode.Readdirplus, size).names.sort()).toEqual(expected);
    }
  });
  test("FUSE_READDIRPLUS: counts exactly the lookups it delivers; . and .. have none", () => {
    const client = fill(3);
    const { nodes } = list(client, Opcode.Readdirplus, 4096);
    expect(nodes.slice(0, 2)).toEqual([0, 0]);
    for (const node of nodes.slice(2)) {
      expect(client.errno(Opcode.Unlink, [nulled(`file-${nodes.indexOf(node) - 2}`)])).toBe(0);
      expect(client.errno(Opcode.Getattr, [new Uint8Array(16)], node)).toBe(0);
      client.raw(fuseRequest(Opcode.Forget, [words(1, 0)], { node }));
      expect(client.errno(Opcode.Getattr, [new Uint8Array(16)], node)).toBe(Errno.ESTALE);
    }
  });
  test("a buffer that is too small for one item is EINVAL, not the end", () => {
    const client = fill(1);
    const handle = client.call(Opcode.Opendir, [words(0, 0)]).payload[0] ?? 0;
    expect(client.errno(Opcode.Readdir, [readArguments(handle, 0, 31)])).toBe(Errno.EINVAL);
    expect(client.errno(Opcode.Readdir, [readArguments(handle, 2n ** 63n, 4096)])).toBe(Errno.EINVAL);
  });
});

describe("FORGET and BATCH_FORGET", () => {
  test("have no reply, and take back what was counted; a count that lies is bounded by what is there", () => {
    const fs = new MemoryFileSystem();
    for (let i = 0; i < 40; i++) fs.addFile(`f${i}`, "");
    const client = Client.started(fs);
    const nodes = [...Array(40).keys()].map((i) => client.lookup(`f${i}`));
    for (let i = 0; i < 40; i++) client.errno(Opcode.Unlink, [nulled(`f${i}`)]);
    const ones = nodes.map((node) => words(node, 0, 1, 0));
    const batch = fuseRequest(Opcode.BatchForget, [words(1_000_000, 0), ...ones], { node: 0 });
    expect(client.raw(batch)).toBeUndefined();
    expect(client.server.stats.forgets).toBe(40);
    expect(fs.statfs().filesFree).toBe(65_535);
  });
});

/** A file system whose answers come when the test says so. */
class SlowFileSystem extends MemoryFileSystem {
  readonly waiting: { settle: () => void; fail: (error: unknown) => void }[] = [];
  targets: readonly Uint8Array[] = [];
  resets = 0;

  override reset(): void {
    this.resets++;
    super.reset();
  }

  // @ts-expect-error a promise, where the memory file system answers at once
  override lookup(parent: NodeId, name: Uint8Array): Promise<Entry> {
    return this.#later(() => super.lookup(parent, name));
  }

  // @ts-expect-error likewise
  override read(node: NodeId, handle: FileHandle, offset: number, targets: readonly Uint8Array[]): Promise<number> {
    return this.#later(() => super.read(node, handle, offset, targets));
  }

  #later<T>(call: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ settle: () => resolve(call()), fail: reject });
    });
  }
}

describe("requests that take longer", () => {
  const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function pending(client: Client, bytes: Uint8Array): { out: Uint8Array; replies: Reply[] } {
    const out = new Uint8Array(200);
    const replies: Reply[] = [];
    const done = (written: number): void => void replies.push(parseReply(out, written));
    expect(client.server.serve(new SegmentMessage([bytes], [out]), done)).toBe(PENDING);
    return { out, replies };
  }
  const lookupRequest = (unique: number, name = "a"): Uint8Array =>
    fuseRequest(Opcode.Lookup, [nulled(name)], { unique });

  test("are answered in the order in which they are ready", async () => {
    const fs = new SlowFileSystem();
    fs.addFile("a", "x");
    const client = Client.started(fs);
    const first = pending(client, lookupRequest(1));
    const second = pending(client, lookupRequest(2, "no"));
    expect(client.server.stats.pending).toBe(2);
    fs.waiting[1]?.fail(new SystemError(Errno.ENOENT, "lookup"));
    await flush();
    expect([first.replies, second.replies.map((reply) => reply.errno)]).toEqual([[], [Errno.ENOENT]]);
    fs.waiting[0]?.settle();
    await flush();
    expect(first.replies[0]).toMatchObject({ errno: 0, unique: 1n });
    expect(client.server.stats.pending).toBe(0);
  });
  test("after a reset nothing is answered, and no byte is touched", async () => {
    const fs = new SlowFileSystem();
    fs.addFile("a", "x");
    const client = Client.started(fs);
    const { out, replies } = pending(client, lookupRequest(1));
    client.server.reset();
    fs.waiting[0]?.settle();
    await flush();
    expect([replies.length, out.every((byte) => byte === 0), fs.resets]).toEqual([0, true, 1]);
    expect(client.raw(initRequest())?.errno).toBe(0);
  });
  test("DESTROY answers them ECONNABORTED; what comes later is dropped", async () => {
    const fs = new SlowFileSystem();
    fs.addFile("a", "x");
    const client = Client.started(fs);
    const { replies } = pending(client, lookupRequest(1));
    client.errno(Opcode.Destroy, []);
    expect(replies.map((reply) => reply.errno)).toEqual([Errno.ECONNABORTED]);
    fs.waiting[0]?.settle();
    await flush();
    expect(replies.length).toBe(1);
  });
  test("INTERRUPT: a lookup is EINTR at once, and its late result is given back", async () => {
    const fs = new SlowFileSystem();
    fs.addFile("a", "x");
    const client = Client.started(fs);
    const { replies } = pending(client, lookupRequest(5));
    expect(client.raw(fuseRequest(Opcode.Interrupt, [words(5, 0)], { unique: 6 }))).toBeUndefined();
    expect(replies.map((reply) => reply.errno)).toEqual([Errno.EINTR]);
    fs.waiting[0]?.settle();
    await flush();
    expect(replies.length).toBe(1);
    fs.unlink(1 as NodeId, new TextEncoder().encode("a"));
    expect(fs.statfs().filesFree).toBe(65_535);
  });
  test("INTERRUPT: a READ runs to its end; an unknown request is EAGAIN", async () => {
    const fs = new SlowFileSystem();
    fs.addFile("a", "x");
    const client = Client.started(fs);
    const { node } = MemoryFileSystem.prototype.lookup.call(fs, 1 as NodeId, new TextEncoder().encode("a"));
    const { replies } = pending(
      client,
      fuseRequest(Opcode.Read, [readArguments(client.open(node), 0, 10)], { node, unique: 5 }),
    );
    expect(client.raw(fuseRequest(Opcode.Interrupt, [words(5, 0)]))).toBeUndefined();
    expect(replies).toEqual([]);
    fs.waiting[0]?.settle();
    await flush();
    expect(replies[0]).toMatchObject({ errno: 0, payload: Uint8Array.of(0x78) });
    expect(client.raw(fuseRequest(Opcode.Interrupt, [words(99, 0)]))?.errno).toBe(Errno.EAGAIN);
  });
  test("an INIT waits for a file system that takes its time to let go", async () => {
    const fs = new SlowFileSystem();
    let free = (): void => {};
    fs.reset = (): never => new Promise<void>((resolve) => (free = resolve)) as never;
    const client = Client.started(fs);
    client.server.reset();
    const { replies } = pending(client, initRequest());
    await flush();
    expect(replies).toEqual([]);
    free();
    await flush();
    expect(replies[0]?.errno).toBe(0);
  });
});

describe("errors of the file system", () => {
  function failing(error: unknown): { client: Client; errno: number } {
    const fs = new MemoryFileSystem();
    fs.lookup = (): never => {
      throw error;
    };
    const client = Client.started(fs);
    return { client, errno: client.errno(Opcode.Lookup, [nulled("a")]) };
  }
  test("a SystemError's errno goes to the guest, and so does the name that Node gives", () => {
    expect(failing(new SystemError(Errno.EACCES, "lookup")).errno).toBe(Errno.EACCES);
    expect(failing(Object.assign(new Error("no"), { code: "ENOTEMPTY", errno: -39 })).errno).toBe(Errno.ENOTEMPTY);
  });
  test("anything else is EIO, and logged", () => {
    for (const error of [new Error("bug"), "text", undefined, { code: "toString" }, new SystemError(99_999, "x")]) {
      const { client, errno } = failing(error);
      expect(errno).toBe(Errno.EIO);
      expect(client.complaints.length).toBe(1);
    }
  });
  test("a result that FUSE cannot carry is EIO, and what it counted is given back", () => {
    const fs = new MemoryFileSystem();
    fs.addFile("a", "x");
    const lookup = fs.lookup.bind(fs);
    const forgotten: number[] = [];
    fs.lookup = (parent, name): Entry => ({ ...lookup(parent, name), generation: -1 });
    fs.forget = (node): void => void forgotten.push(node);
    expect(Client.started(fs).errno(Opcode.Lookup, [nulled("a")])).toBe(Errno.EIO);
    expect(forgotten).toEqual([2]);
  });
  test("a READ that claims more bytes than were asked for is EIO", () => {
    const { fs, client } = withFile();
    const node = client.lookup("a");
    const handle = client.open(node);
    for (const lie of [12, -1, 0.5, Number.NaN]) {
      fs.read = (): number => lie;
      expect(client.errno(Opcode.Read, [readArguments(handle, 0, 11)], node)).toBe(Errno.EIO);
    }
  });
  test("methods that are absent are ENOSYS, or EROFS where they would write", () => {
    const { fs, client } = withFile();
    const readOnly: FileSystem = Object.assign(Object.create(fs), {
      ...{ write: undefined, create: undefined, setattr: undefined, mkdir: undefined, rename: undefined },
      ...{ readlink: undefined, flush: undefined, lseek: undefined },
    });
    const other = Client.started(readOnly);
    expect(client.errno(Opcode.Mkdir, [words(0o755, 0), nulled("d")])).toBe(0);
    expect(other.errno(Opcode.Mkdir, [words(0o755, 0), nulled("e")])).toBe(Errno.EROFS);
    expect(other.errno(Opcode.Setattr, [new Uint8Array(88)])).toBe(Errno.EROFS);
    expect(other.errno(Opcode.Readlink, [])).toBe(Errno.ENOSYS);
    expect(other.errno(Opcode.Flush, [new Uint8Array(24)])).toBe(Errno.ENOSYS);
  });
});
