/** Packets of one direction, counted by what they ask for. Driver and device count alike, so their counters can be compared. */
import { Op } from "./ops.ts";

export interface PacketCounts {
  readonly request: number;
  readonly response: number;
  readonly reset: number;
  readonly shutdown: number;
  /** RW: those that carry bytes. */
  readonly data: number;
  readonly creditUpdate: number;
  readonly creditRequest: number;
  /** INVALID, and operations that do not exist. */
  readonly other: number;
}

export type MutablePacketCounts = { -readonly [K in keyof PacketCounts]: number };

export function noPackets(): MutablePacketCounts {
  return {
    ...{ request: 0, response: 0, reset: 0, shutdown: 0 },
    ...{ data: 0, creditUpdate: 0, creditRequest: 0, other: 0 },
  };
}

export function countPacket(counts: MutablePacketCounts, op: number): void {
  switch (op) {
    case Op.Rw:
      counts.data++;
      break;
    case Op.CreditUpdate:
      counts.creditUpdate++;
      break;
    case Op.CreditRequest:
      counts.creditRequest++;
      break;
    case Op.Request:
      counts.request++;
      break;
    case Op.Response:
      counts.response++;
      break;
    case Op.Rst:
      counts.reset++;
      break;
    case Op.Shutdown:
      counts.shutdown++;
      break;
    default:
      counts.other++;
  }
}
