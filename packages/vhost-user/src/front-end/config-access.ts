/** The device's config space (virtio 1.3 §2.5), from whoever has it: the caller, the back-end, or nobody. */
import { VirtioError } from "@toril/virtio";
import { Request } from "../protocol/message.ts";
import { CONFIG_HEADER_SIZE, configSpace, MAX_CONFIG_SIZE, readConfigSpace } from "../protocol/payloads.ts";
import type { Requester } from "./requester.ts";

/** @throws VirtioError ERR_TRANSPORT when the back-end does not give it */
export async function readBackendConfig(
  requester: Requester,
  offset: number,
  length: number,
  size: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const wanted = Math.min(length, Math.min(size, MAX_CONFIG_SIZE) - offset);
  if (wanted <= 0) return bytes;
  const answer = await requester.ask(Request.GetConfig, configSpace(offset, new Uint8Array(wanted)));
  // "On error, the back-end sends a message with a payload of zero length."
  if (answer.payload.length === 0) {
    throw new VirtioError("ERR_TRANSPORT", `the back-end has no config space at ${offset} to ${offset + wanted}`);
  }
  const config = readConfigSpace(answer.payload);
  if (config === undefined || config.offset !== offset || config.bytes.length > wanted) {
    const said = `${answer.payload.length - CONFIG_HEADER_SIZE} bytes of config space`;
    throw requester.fail(`it answered GET_CONFIG of ${wanted} bytes at ${offset} with ${said}, or of elsewhere`);
  }
  bytes.set(config.bytes);
  return bytes;
}

/** @throws VirtioError ERR_TRANSPORT when the back-end refuses, RangeError when it is too much for one message */
export async function writeBackendConfig(requester: Requester, offset: number, bytes: Uint8Array): Promise<void> {
  if (offset + bytes.length > MAX_CONFIG_SIZE) {
    throw new RangeError(`config space at ${offset} to ${offset + bytes.length}: ${MAX_CONFIG_SIZE} bytes at most`);
  }
  if ((await requester.tell(Request.SetConfig, configSpace(offset, bytes))) === "done") return;
  throw new VirtioError("ERR_TRANSPORT", `the back-end refused ${bytes.length} bytes of config space at ${offset}`);
}
