/** Config space (virtio 1.3 §5.10.4): `le64 guest_cid`, whose upper 32 bits are reserved and zero. */
import { type Cid, guestCid } from "../address.ts";
import { le32, putLe32 } from "./header.ts";

export const CONFIG_SIZE = 8;

/** The guest's CID; `undefined` when the device presents a reserved one (§5.10.6.2.2 forbids it). */
export function readGuestCid(config: Uint8Array): Cid | undefined {
  if (config.length < CONFIG_SIZE || le32(config, 4) !== 0) return undefined;
  const value = le32(config, 0);
  return value <= 2 || value === 0xffff_ffff ? undefined : guestCid(value);
}

export function configBytes(cid: Cid): Uint8Array {
  const bytes = new Uint8Array(CONFIG_SIZE);
  putLe32(bytes, 0, cid);
  return bytes;
}
