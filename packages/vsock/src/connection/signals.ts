/** What goes in and out of an endpoint beside packets: wishes of its user or owner, and what it tells them. */

type SignalName = "None" | "Connected" | "Data" | "InboundEnded" | "OutboundRefused" | "Credit" | "Closed";

/** What an entry tells the owner: any number of these, or-ed. */
export const Signal: Readonly<Record<SignalName, number>> = {
  None: 0,
  /** RESPONSE came. */
  Connected: 1 << 0,
  /** The packet's payload is accepted: keep it, and say `consumed` when the user has taken it. */
  Data: 1 << 1,
  /** The peer will send no more. */
  InboundEnded: 1 << 2,
  /** The peer will receive no more; what was queued is dropped: `queued` is 0 now. */
  OutboundRefused: 1 << 3,
  /** More can be sent than before. */
  Credit: 1 << 4,
  /** It is over (see the state's errno). What was queued is dropped. A last RST may still be owed. */
  Closed: 1 << 5,
};

/** What the user, or the owner on its own, wants of the connection. */
export type Wish =
  /** No more bytes from us, after those that are queued. */
  | "end-send"
  /** No more bytes from the peer. */
  | "end-receive"
  /** Both. */
  | "end"
  /** Break it off. */
  | "abort"
  /** The peer broke the rules of packets: lengths that do not fit. */
  | "violation"
  /** The connect or close timer ran out. */
  | "timeout"
  /** §5.10.6.7: TRANSPORT_RESET; the peer knows, or is no longer there. */
  | "transport-reset"
  /** The device or the driver on the other side of the rings is gone. */
  | "peer-gone";
