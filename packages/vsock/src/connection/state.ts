/** The states of a stream connection (virtio 1.3 §5.10.6.5). Values are shared and frozen: a state is never changed in place. */

/**
 * Bytes from us to the peer.
 * `open`: the user may send. `draining`: the user has sent its last byte, SHUTDOWN follows the queue. `ended`: the peer
 * has been told. `refused`: the peer takes no more.
 */
export type Outbound = "open" | "draining" | "ended" | "refused";

/** Bytes from the peer to us. `ended`: the peer sends no more. `refused`: we take no more; what comes is dropped. */
export type Inbound = "open" | "ended" | "refused";

export type ConnectionState =
  /** We asked for the connection and wait for RESPONSE. */
  | { readonly kind: "connecting" }
  | { readonly kind: "established"; readonly outbound: Outbound; readonly inbound: Inbound }
  /** We have told the peer that both directions are over; its RST ends it, or the close timeout does. */
  | { readonly kind: "closing" }
  /** Over; `errno` is 0 when both sides closed in order. */
  | { readonly kind: "closed"; readonly errno: number };

export type EstablishedState = Extract<ConnectionState, { kind: "established" }>;

export const CONNECTING: ConnectionState = Object.freeze({ kind: "connecting" });
export const CLOSING: ConnectionState = Object.freeze({ kind: "closing" });

const outbounds: readonly Outbound[] = ["open", "draining", "ended", "refused"];
const inbounds: readonly Inbound[] = ["open", "ended", "refused"];

const table: Record<Outbound, Record<Inbound, EstablishedState>> = Object.fromEntries(
  outbounds.map((outbound) => [
    outbound,
    Object.fromEntries(inbounds.map((inbound) => [inbound, Object.freeze({ kind: "established", outbound, inbound })])),
  ]),
) as Record<Outbound, Record<Inbound, EstablishedState>>;

/** The one value for each combination: changing state allocates nothing. */
export function established(outbound: Outbound, inbound: Inbound): EstablishedState {
  return table[outbound][inbound];
}

export function closed(errno: number): ConnectionState {
  return Object.freeze({ kind: "closed", errno });
}
