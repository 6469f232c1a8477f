/**
 * Where the back-end keeps what it has in flight (INFLIGHT_SHMFD), so that its successor can go on with it. It is given
 * back to it at each start, as the protocol asks. A driver of this project starts with new rings after a connection was
 * lost, so every start gets a new one: there is nothing in flight to go on with.
 */
import { VirtioError } from "@toril/virtio";
import { libc } from "../ffi/libc.ts";
import { Request } from "../protocol/message.ts";
import { inflight, readInflight } from "../protocol/payloads.ts";
import type { Requester } from "./requester.ts";

/** More than any back-end needs for 256 queues of 1,024 entries. */
const MAX_INFLIGHT_BYTES = 2n ** 26n;

/** Asks for it and hands it back. The descriptor, owned by the caller. @throws VirtioError */
export async function setUpInflight(requester: Requester, queues: number, queueSize: number): Promise<number> {
  const asked = inflight({ mmapSize: 0n, mmapOffset: 0n, queues, queueSize });
  const answer = await requester.ask(Request.GetInflightFd, asked, "descriptors");
  const [fd, ...surplus] = answer.fds;
  for (const one of surplus) libc().close(one);
  const described = readInflight(answer.payload);
  const plausible = described !== undefined && described.mmapSize > 0n && described.mmapSize <= MAX_INFLIGHT_BYTES;
  if (fd === undefined || surplus.length > 0 || !plausible) {
    if (fd !== undefined) libc().close(fd);
    throw requester.fail("its answer to GET_INFLIGHT_FD has not one descriptor and a size");
  }
  try {
    const { mmapSize, mmapOffset } = described;
    const given = inflight({ mmapSize, mmapOffset, queues, queueSize });
    if ((await requester.tell(Request.SetInflightFd, given, [fd])) === "done") return fd;
    throw new VirtioError("ERR_TRANSPORT", "the back-end refused its own SET_INFLIGHT_FD");
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}
