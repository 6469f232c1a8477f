/** Who talks to whom (virtio 1.3 §5.10.4): a context id names a machine, a port a program in it. */

declare const cidBrand: unique symbol;
declare const portBrand: unique symbol;

/** A context id: 64 bits on the wire, of which the upper 32 are reserved and zero (§5.10.4). */
export type Cid = number & { readonly [cidBrand]: "Cid" };
/** A port: 32 bits. */
export type Port = number & { readonly [portBrand]: "Port" };

/** §5.10.4: well-known and reserved context ids. */
export const HOST_CID = 2 as Cid;
/** Linux' VMADDR_CID_LOCAL: whoever says it, itself. */
export const LOCAL_CID = 1 as Cid;
/** Linux' VMADDR_PORT_ANY: asks for an ephemeral port, is never a port itself. */
export const PORT_ANY = 0xffff_ffff;

/** @throws RangeError unless `value` is a 32-bit unsigned integer that is not reserved (0, 1, 0xffffffff). */
export function guestCid(value: number): Cid {
  if (!isU32(value) || value <= HOST_CID || value === 0xffff_ffff) {
    throw new RangeError(`${value} is not a guest CID: use 3 to 4294967294 (0, 1, 2 and 4294967295 are reserved)`);
  }
  return value as Cid;
}

/** @throws RangeError unless `value` is an integer from 0 to 2^32 - 2. */
export function port(value: number): Port {
  if (!isU32(value) || value === PORT_ANY) throw new RangeError(`${value} is not a vsock port: use 0 to 4294967294`);
  return value as Port;
}

export interface VsockAddress {
  readonly cid: Cid;
  readonly port: Port;
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}
