/** What one core holds of another: a channel each way for the kernel, one each way for programs. */
import type { GuestMemory } from "@toril/memory";
import type { Doorbell } from "@toril/virtio/platform";
import { ChannelReceiver, ChannelSender } from "./bus-channel.ts";
import { type BusPlace, type ChannelName, channelPlace } from "./bus-layout.ts";
import type { WaitQueue } from "./wait-queue.ts";

interface Channels {
  readonly out: ChannelSender;
  readonly in: ChannelReceiver;
}

export interface Peer {
  readonly core: number;
  readonly control: Channels;
  readonly data: Channels;
  /** Kernel messages that found the channel full, in order. Bounded by the threads that cores started on each other. */
  readonly outbox: Uint8Array[];
  /** Threads that wait for room. */
  readonly room: WaitQueue;
  state: { readonly kind: "up" } | { readonly kind: "gone"; readonly reason: string };
}

export interface PeerOptions {
  readonly memory: GuestMemory;
  readonly place: BusPlace;
  readonly own: number;
  readonly other: number;
  /** Of the other core. */
  readonly bell: Doorbell;
  readonly room: WaitQueue;
}

export function createPeer({ memory, place, own, other, bell, room }: PeerOptions): Peer {
  const { shape } = place;
  const ring = (): void => bell.ring();
  const channels = (name: ChannelName): Channels => ({
    out: new ChannelSender(memory, channelPlace(place, own, other, name), shape[name], ring),
    in: new ChannelReceiver(memory, channelPlace(place, other, own, name), shape[name], ring),
  });
  return { core: other, control: channels("control"), data: channels("data"), outbox: [], room, state: { kind: "up" } };
}
