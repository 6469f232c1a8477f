/** What replies say, and where data lies. */
import type * as wire from "../wire/index.ts";
import type { Opaque64 } from "../wire/index.ts";

/** A run of guest memory. */
export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** A name that was found or made: one lookup was counted, unless its node is 0. */
export interface EntryReply {
  readonly entry: wire.EntryOut;
  /** When the request was sent, on the driver's clock. */
  readonly sentAt: number;
}

export interface AttrReply {
  readonly attr: wire.Attr;
  readonly validity: wire.Validity;
  readonly sentAt: number;
}

export interface OpenReply {
  readonly handle: Readonly<Opaque64>;
  /** Bits of OpenReplyFlag. */
  readonly flags: number;
}

/** STATFS' reply before it is read. */
export function noStatfs(): wire.StatfsOut {
  return {
    blocks: 0,
    blocksFree: 0,
    blocksAvailable: 0,
    files: 0,
    filesFree: 0,
    blockSize: 0,
    nameLength: 0,
    fragmentSize: 0,
  };
}
