/** What both ends can do: everything that follows is derived from the bits that the back-end offered. */
import { LOG_ALL_BIT, PROTOCOL_FEATURES_BIT, ProtocolFeature, protocolBits, Request } from "../protocol/message.ts";
import type { Requester } from "./requester.ts";

export interface Negotiated {
  /** What the driver may choose from. */
  readonly deviceFeatures: bigint;
  /** `undefined`: the back-end has no protocol features at all (bit 30 is not offered). */
  readonly protocol: bigint | undefined;
  /** `undefined`: it does not tell. */
  readonly queueCount: number | undefined;
}

const { MQ, REPLY_ACK, BACKEND_REQ, CONFIG, INFLIGHT_SHMFD, RESET_DEVICE, STATUS } = ProtocolFeature;
const WANTED = protocolBits(MQ, REPLY_ACK, CONFIG, INFLIGHT_SHMFD, RESET_DEVICE, STATUS);
/** A split ring's index is 8 bits in SET_VRING_KICK. */
const MAX_QUEUES = 256;

export function hasProtocol(negotiated: Negotiated, feature: number): boolean {
  return negotiated.protocol !== undefined && (negotiated.protocol & protocolBits(feature)) !== 0n;
}

/** @param config who has the device's config space @throws VirtioError ERR_TRANSPORT */
export async function negotiate(requester: Requester, config: "ours" | "the back-end's"): Promise<Negotiated> {
  await requester.tell(Request.SetOwner);
  const offered = await requester.askNumber(Request.GetFeatures);
  const deviceFeatures = offered & ~PROTOCOL_FEATURES_BIT & ~LOG_ALL_BIT;
  if ((offered & PROTOCOL_FEATURES_BIT) === 0n) return { deviceFeatures, protocol: undefined, queueCount: undefined };
  const protocolOffered = await requester.askNumber(Request.GetProtocolFeatures);
  let protocol = protocolOffered & WANTED;
  if (config === "ours") protocol &= ~protocolBits(CONFIG);
  // The back-end's own requests are wanted for one thing: to hear that config space has changed.
  else if ((protocol & protocolBits(CONFIG)) !== 0n) protocol |= protocolOffered & protocolBits(BACKEND_REQ);
  await requester.tellNumber(Request.SetProtocolFeatures, protocol);
  const negotiated: Negotiated = { deviceFeatures, protocol, queueCount: undefined };
  if (hasProtocol(negotiated, REPLY_ACK)) requester.acknowledges = "yes";
  if (!hasProtocol(negotiated, MQ)) return negotiated;
  const count = await requester.askNumber(Request.GetQueueNum);
  if (count < 1n || count > BigInt(2 ** 16)) throw requester.fail(`it has ${count} queues`);
  return { ...negotiated, queueCount: Math.min(Number(count), MAX_QUEUES) };
}
