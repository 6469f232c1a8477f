/** A small site with everything that is special about sizes and names. */
import type { MemoryFileSystem } from "@toril/virtio-fs/device";
import { pattern } from "./bytes.ts";

export interface SitePage {
  readonly path: string;
  readonly status: number;
  /** Absent: the body is not looked at. */
  readonly content?: Uint8Array;
}

const SIZES = [0, 1, 17, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 150_000, 262_145];
const FILES = SIZES.map((size, id) => ({ path: `/f${size}.bin`, content: pattern(id, 0, size) }));
const INDEX = pattern(100, 0, 700);
const ODD_NAME = pattern(101, 0, 333);

export const SITE: readonly SitePage[] = [
  ...FILES.map((file) => ({ ...file, status: 200 })),
  { path: "/", status: 200, content: INDEX },
  { path: "/docs/", status: 200, content: INDEX },
  { path: "/docs", status: 301 },
  { path: "/list/", status: 200 },
  { path: "/list/a%20name%20with%20%C3%A9.txt", status: 200, content: ODD_NAME },
  { path: "/nothing-here", status: 404 },
  { path: "/docs/nothing/here", status: 404 },
];

export function fillSite(disk: MemoryFileSystem): void {
  for (const { path, content } of FILES) disk.addFile(path, content);
  disk.addFile("/index.html", INDEX);
  disk.addFile("/docs/index.html", INDEX);
  disk.addFile("/list/a name with é.txt", ODD_NAME);
  for (let i = 0; i < 20; i++) disk.addFile(`/list/${i}`, "");
}
