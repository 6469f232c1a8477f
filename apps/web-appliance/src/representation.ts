/** What a file is on the web: its type and its validators. */
import { formatHttpDate, type PreparedFields, prepareFields } from "@toril/http";
import type { FileStat } from "@toril/virtio-fs";
import { lookup } from "mrmime";

/** What of a response is the same for every request of these bytes. */
export interface Representation {
  readonly size: number;
  readonly etag: string;
  readonly lastModified: string;
  /** The fields of a 200, all but those that the server adds. */
  readonly headers: Readonly<Record<string, string>>;
  /** The same, ready to be sent. */
  readonly prepared: PreparedFields;
}

export function describe(name: string, stat: FileStat): Representation {
  const etag = entityTag(stat);
  const lastModified = formatHttpDate(stat.mtimeMs);
  const headers = {
    "content-type": contentType(name),
    etag,
    "last-modified": lastModified,
    "accept-ranges": "bytes",
    // A browser may keep it, and must ask before it uses it: a file that changes is seen at once, for the price of a 304.
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
  };
  return { size: stat.size, etag, lastModified, headers, prepared: prepareFields(headers) };
}

/** Types whose bytes are text: they are declared as UTF-8, as sites are written nowadays. */
const TEXTUAL =
  /^(?:text\/|application\/(?:javascript|json|manifest\+json|xml|xhtml\+xml|rss\+xml|atom\+xml)|image\/svg\+xml)/;

/** The Content-Type for a file name; `application/octet-stream` for an unknown extension (RFC 9110 §8.3). */
function contentType(name: string): string {
  const type = lookup(name) ?? "application/octet-stream";
  return TEXTUAL.test(type) ? `${type};charset=utf-8` : type;
}

/**
 * A strong validator (RFC 9110 §8.8.3): another inode, size or change time means other bytes. The change time counts
 * because a write within one tick of the modification time, or a program that sets it back, leaves that one alone.
 */
function entityTag(stat: FileStat): string {
  const time = Math.round(stat.mtimeMs * 1000).toString(36);
  const change = Math.round(stat.ctimeMs * 1000).toString(36);
  return `"${stat.inode.toString(36)}-${stat.size.toString(36)}-${time}-${change}"`;
}

/** Whether two looks at a path saw the same bytes, as far as attributes tell. */
export function sameFile(a: FileStat, b: FileStat): boolean {
  return a.inode === b.inode && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}
