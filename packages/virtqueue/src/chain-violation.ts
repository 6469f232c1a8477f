/** What a driver did wrong in a descriptor chain (virtio 1.3 §2.7.4, §2.7.5), put into words. */
import { type QueueViolation, violation } from "./violation.ts";

export function nextOutOfRange(head: number, next: number, entries: number): QueueViolation {
  const message = `chain ${head} goes on at descriptor ${next} of a table of ${entries}`;
  return violation("next-out-of-range", "2.7.5", message);
}

export function outOfRange(head: number, low: number, high: number, length: number): QueueViolation {
  const address = `0x${high.toString(16)}_${low.toString(16).padStart(8, "0")}`;
  const message = `chain ${head} has ${length} bytes at ${address}, which are not in guest memory`;
  return violation("address-out-of-range", "2.7.5", message);
}

/** §2.7.4.2: "MUST place any device-writable descriptor elements after any device-readable descriptor elements". */
export function readableAfterWritable(head: number): QueueViolation {
  return violation("readable-after-writable", "2.7.4.2", `chain ${head} has a readable buffer after a writable one`);
}

/** §2.7.5.2: "MUST NOT add a descriptor chain longer than 2^32 bytes in total". */
export function over4GiB(head: number): QueueViolation {
  return violation("chain-over-4-gib", "2.7.5.2", `chain ${head} has more than 2^32 bytes`);
}

/** §2.7.5.2: "loops in the descriptor chain are forbidden". One more descriptor than the table has is a loop. */
export function loop(head: number, entries: number): QueueViolation {
  return violation("chain-loop", "2.7.5.2", `chain ${head} visits more descriptors than the ${entries} of its table`);
}

/** §2.7.5.3.1: "MUST NOT create a descriptor chain longer than the Queue Size of the device". */
export function tooLong(head: number, size: number): QueueViolation {
  const message = `chain ${head} has more than ${size} buffers, the size of the queue`;
  return violation("chain-too-long", "2.7.5.3.1", message);
}

/** §2.7.5.3.1: "MUST NOT set the VIRTQ_DESC_F_INDIRECT flag unless the VIRTIO_F_INDIRECT_DESC feature was negotiated". */
export function indirectNotNegotiated(head: number): QueueViolation {
  const message = `chain ${head} has an indirect table, which was not negotiated`;
  return violation("indirect-not-negotiated", "2.7.5.3.1", message);
}

/** §2.7.5.3.1: "MUST NOT set both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT in flags". */
export function indirectWithNext(head: number): QueueViolation {
  return violation("indirect-with-next", "2.7.5.3.1", `chain ${head} goes on after its indirect table`);
}

/** §2.7.5.3.1: "MUST NOT set the VIRTQ_DESC_F_INDIRECT flag within an indirect descriptor". */
export function indirectNested(head: number): QueueViolation {
  return violation("indirect-nested", "2.7.5.3.1", `chain ${head} has an indirect table inside an indirect table`);
}

/** §2.7.5.3: the table is "desc[len / 16]", and `next` names its descriptors in 16 bits. */
export function indirectBadTable(head: number, length: number): QueueViolation {
  const message = `chain ${head} has an indirect table of ${length} bytes: it must be 1 to 65,536 times 16`;
  return violation("indirect-bad-table", "2.7.5.3", message);
}
