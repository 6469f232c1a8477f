/** All peers, or why one is missing. */
import { type CPeerName, startCPeer } from "./c-peers.ts";
import { PEER_NAMES, type Peer, type PeerName, type PeerOptions } from "./peer.ts";
import { startPortPeer } from "./port-peers.ts";
import { startSocketPeer } from "./socket-peers.ts";

/** A peer that cannot run here, and the reason. */
export interface MissingPeer {
  readonly name: PeerName;
  readonly reason: string;
}

export async function startPeers(
  options: PeerOptions,
): Promise<{ readonly peers: readonly Peer[]; readonly missing: readonly MissingPeer[] }> {
  const peers: Peer[] = [];
  const missing: MissingPeer[] = [];
  for (const name of PEER_NAMES) {
    try {
      peers.push(await start(name, options));
    } catch (error) {
      missing.push({ name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { peers, missing };
}

function start(name: PeerName, options: PeerOptions): Promise<Peer> {
  switch (name) {
    case "node-unix":
    case "node-tcp":
      return startSocketPeer(name, options);
    case "message-port-copy":
      return startPortPeer("copy", options);
    case "message-port-transfer":
      return startPortPeer("transfer", options);
    default:
      return startCPeer(name satisfies CPeerName, options);
  }
}
