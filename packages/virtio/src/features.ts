/** Feature bits that concern every device (virtio 1.3 §6). Numbers of bits; `featureBit` makes the mask. */

export const Feature = {
  /** Chains may be described by a table of their own (§2.7.5.3). */
  INDIRECT_DESC: 28,
  /** used_event and avail_event instead of the notification flags (§2.7.7, §2.7.10). */
  EVENT_IDX: 29,
  /** "This indicates compliance with this specification": offered and accepted always. */
  VERSION_1: 32,
  /** The device's access to memory is limited or translated. */
  ACCESS_PLATFORM: 33,
  /** Packed virtqueues (§2.8). */
  RING_PACKED: 34,
  /** Buffers are used in the order in which they were made available. */
  IN_ORDER: 35,
  ORDER_PLATFORM: 36,
  SR_IOV: 37,
  /** Notifications carry data (§2.9). */
  NOTIFICATION_DATA: 38,
  NOTIF_CONFIG_DATA: 39,
  /** Queues can be reset one by one (§2.6.1). */
  RING_RESET: 40,
} as const;

/**
 * The mask of one feature bit.
 * @throws RangeError when `bit` is not 0 to 127.
 */
export function featureBit(bit: number): bigint {
  if (!Number.isInteger(bit) || bit < 0 || bit > 127) throw new RangeError(`${bit} is not a feature bit: use 0 to 127`);
  return 1n << BigInt(bit);
}

export function hasFeature(features: bigint, bit: number): boolean {
  return (features & featureBit(bit)) !== 0n;
}

/** A set of features in words, such as `EVENT_IDX, VERSION_1, bit 3`; `none` when it is empty. */
export function describeFeatures(features: bigint): string {
  const names = new Map<number, string>(Object.entries(Feature).map(([name, bit]) => [bit, name]));
  const said: string[] = [];
  for (let bit = 0, rest = features; rest > 0n; bit++, rest >>= 1n) {
    if ((rest & 1n) === 1n) said.push(names.get(bit) ?? `bit ${bit}`);
  }
  return said.length === 0 ? "none" : said.join(", ");
}

/** What this project's rings can do, which a host offers beside a device's own features. */
export const RING_FEATURES: bigint = featureBit(Feature.INDIRECT_DESC) | featureBit(Feature.EVENT_IDX);
