/** Puts the parts of a driver together, between the requests below and the calls above. */
import type { DmaAllocator } from "@toril/memory";
import type { Clock } from "@toril/virtio/platform";
import { AttributeCalls } from "./attribute-calls.ts";
import type { CacheMode } from "./cache-policy.ts";
import type { CallParts } from "./calls.ts";
import { DirectoryReader } from "./directory-reader.ts";
import { BLOCK_SIZE, FileCache } from "./file-cache.ts";
import { FileReader } from "./file-reader.ts";
import { FileWriter } from "./file-writer.ts";
import type { GuestBuffers } from "./guest-buffers.ts";
import { NameChanges } from "./name-changes.ts";
import { Opener } from "./opener.ts";
import { Operations } from "./operations.ts";
import { PathCache } from "./path-cache.ts";
import type { RequestEngine } from "./requests.ts";
import { Resolver } from "./resolver.ts";
import type { Session } from "./session.ts";
import type { Counters } from "./stats.ts";
import { Tree } from "./tree.ts";

export interface ClientOptions {
  readonly engine: RequestEngine;
  readonly buffers: GuestBuffers;
  readonly session: Session;
  readonly counters: Counters;
  readonly allocator: DmaAllocator;
  readonly clock: Clock;
  readonly mode: CacheMode;
  readonly cacheBytes: number;
  readonly maxNames: number;
  /** Most segments of data in one chain. */
  readonly maxSegments: number;
}

export interface Client extends CallParts {
  readonly cache: FileCache;
}

/** One reader may use this part of the cache for what it has not asked for yet. */
const READ_AHEAD_SHARE = 4;

export function buildClient(options: ClientOptions): Client {
  const { engine, buffers, session, counters, allocator, clock } = options;
  const operations = new Operations(engine);
  const cache = new FileCache(allocator, options.cacheBytes, counters);
  buffers.shed = (bytes) => cache.shed(bytes);
  const tree = new Tree({
    operations,
    buffers,
    clock,
    mode: options.mode,
    nameLimit: options.maxNames,
    counters,
    forget: (id, lookups) => {
      engine.hiprio.forget(id, lookups);
      engine.scheduleFlush();
    },
    onDataChanged: (node) => cache.dropFile(node),
    onGone: (node) => cache.dropFile(node),
  });
  const resolver = new Resolver(tree);
  const ahead = Math.min(session.maxReadahead, Math.floor(options.cacheBytes / READ_AHEAD_SHARE));
  const readAheadBlocks = Math.floor(ahead / BLOCK_SIZE);
  const { maxRead, maxWrite } = session;
  const { maxSegments } = options;
  return {
    memory: allocator.memory,
    clock,
    operations,
    buffers,
    tree,
    cache,
    resolver,
    paths: new PathCache(tree, options.maxNames, counters),
    opener: new Opener({ operations, tree, resolver, cache, session, counters, readAheadBlocks }),
    reader: new FileReader({ engine, operations, tree, cache, buffers, counters, maxRead, maxSegments }),
    writer: new FileWriter({ operations, tree, cache, buffers, counters, maxWrite }),
    names: new NameChanges({ operations, tree, resolver, buffers }),
    attributes: new AttributeCalls({ operations, tree, resolver, cache }),
    directories: new DirectoryReader({ engine, operations, tree, resolver, buffers, session }),
  };
}
