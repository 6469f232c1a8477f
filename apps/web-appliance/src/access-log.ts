/** Access log lines in the Common Log Format, with the time that the response took behind it. */
import type { AccessEntry } from "@toril/http";

/** @param wallClock milliseconds since 1970 */
export function accessLine(entry: AccessEntry, wallClock: number): string {
  const { peer, method, target, httpVersion, status, bytes, latencyMs, outcome } = entry;
  const request = `${method} ${target} HTTP/${httpVersion}`.replace(/[^\x20-\x7e]|["\\]/g, escapeCharacter);
  const time = new Date(wallClock).toISOString();
  const ending = outcome === "sent" ? "" : " cut off";
  return `${peer.cid}:${peer.port} - - [${time}] "${request}" ${status} ${bytes} ${latencyMs.toFixed(2)}ms${ending}`;
}

/** What a client sends must not forge lines, nor reach the terminal as control characters. */
function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
