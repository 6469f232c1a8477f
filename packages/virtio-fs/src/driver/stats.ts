/** What a file driver counts. Plain numbers that only grow, but for the gauges; they may be read at any time. */
export interface FileDriverStats {
  readonly requests: number;
  readonly replies: number;
  /** Replies with an errno. */
  readonly errors: number;
  /** Requests by opcode name are in `byOpcode`: index = opcode. */
  readonly byOpcode: readonly number[];
  /** File bytes that came from, and went to, the device. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes copied in guest memory between callers' private buffers and guest buffers. */
  readonly bytesCopied: number;
  /** Requests that waited for a free slot or ring entries; and for guest memory. */
  readonly ringFullWaits: number;
  readonly memoryWaits: number;
  /** FORGET and BATCH_FORGET requests, and the nodes they named. */
  readonly forgetRequests: number;
  readonly nodesForgotten: number;
  readonly interruptsSent: number;
  /** Available buffer notifications sent, and those the device did not want. */
  readonly notificationsSent: number;
  readonly notificationsSuppressed: number;
  /** Blocks found in the file cache, filled from the device, evicted for room, and dropped because of a change. */
  readonly blockHits: number;
  readonly blockMisses: number;
  readonly blocksEvicted: number;
  readonly blocksInvalidated: number;
  readonly readAheadBlocks: number;
  /** Paths and names answered from memory, and those asked for. */
  readonly pathHits: number;
  readonly lookups: number;
  // Gauges.
  readonly inFlight: number;
  readonly nodes: number;
  readonly names: number;
  /** Guest memory in the file cache, blocks on loan included. */
  readonly cachedBytes: number;
  readonly openFiles: number;
}

export type Counters = { -readonly [K in keyof FileDriverStats]: FileDriverStats[K] } & { byOpcode: number[] };

export function createCounters(): Counters {
  return {
    requests: 0,
    replies: 0,
    errors: 0,
    byOpcode: new Array<number>(64).fill(0),
    bytesRead: 0,
    bytesWritten: 0,
    bytesCopied: 0,
    ringFullWaits: 0,
    memoryWaits: 0,
    forgetRequests: 0,
    nodesForgotten: 0,
    interruptsSent: 0,
    notificationsSent: 0,
    notificationsSuppressed: 0,
    blockHits: 0,
    blockMisses: 0,
    blocksEvicted: 0,
    blocksInvalidated: 0,
    readAheadBlocks: 0,
    pathHits: 0,
    lookups: 0,
    inFlight: 0,
    nodes: 0,
    names: 0,
    cachedBytes: 0,
    openFiles: 0,
  };
}
