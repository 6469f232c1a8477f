/** Answers requests from the files of the mount. A warm request is answered without a wait. */
import type { HttpRequest, HttpResponse } from "@toril/http";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { FileCalls, FileStat } from "@toril/virtio-fs";
import { directoryPage } from "./directory-page.ts";
import { FileBody } from "./file-body.ts";
import { type OpenFile, OpenFiles } from "./open-files.ts";
import { errorPage, redirect } from "./pages.ts";
import { KnownPaths, type RequestPath } from "./request-path.ts";
import { type SelectionHeaders, select } from "./selection.ts";

const INDEX = "index.html";

/** Fields that decide which bytes are sent; a request without them gets all. */
const SELECTING = [
  "if-match",
  "if-unmodified-since",
  "if-none-match",
  "if-modified-since",
  "range",
  "if-range",
] as const;

export class StaticFiles {
  readonly #fs: FileCalls;
  readonly #files: OpenFiles;
  readonly #paths = new KnownPaths();

  constructor(fs: FileCalls) {
    this.#fs = fs;
    this.#files = new OpenFiles(fs);
  }

  answer(request: HttpRequest): HttpResponse | Promise<HttpResponse> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return errorPage(405, { allow: "GET, HEAD" });
    }
    const path = this.#paths.read(request.path);
    if (path === undefined) return errorPage(400);
    // All that the answer needs of the request is read here: after a wait the request may be another one.
    const wanted: SelectionHeaders = readSelection(request);
    const target = path.directory ? indexOf(path) : path;
    const stat = this.#fs.tryStat(target.path);
    if (typeof stat !== "number" && stat.type === "file") {
      const open = this.#files.tryTake(target.key, stat);
      if (open !== undefined) return this.#send(open, wanted);
    }
    return this.#find(path, target, wanted).catch(answerFailure);
  }

  close(): void {
    this.#files.closeAll();
  }

  async #find(path: RequestPath, target: RequestPath, wanted: SelectionHeaders): Promise<HttpResponse> {
    const stat = await this.#statIfPresent(target);
    if (stat === undefined) {
      if (!path.directory) return errorPage(404);
      return directoryPage(this.#fs, path);
    }
    switch (stat.type) {
      case "directory":
        // A link inside the page is relative to the directory only if the address ends in a slash.
        return path.directory ? errorPage(404) : redirect(`${path.encoded}/${path.query}`);
      case "file":
        return this.#send(
          this.#files.tryTake(target.key, stat) ?? (await this.#files.take(target.key, target.path, target.name)),
          wanted,
        );
      default:
        // Pipes, sockets, device nodes: there, but nothing to read for a web client.
        return errorPage(403);
    }
  }

  async #statIfPresent(path: RequestPath): Promise<FileStat | undefined> {
    try {
      return await this.#fs.stat(path.path);
    } catch (error) {
      if (error instanceof SystemError && ABSENT.has(error.errno)) return undefined;
      throw error;
    }
  }

  #send(open: OpenFile, wanted: SelectionHeaders): HttpResponse {
    const { representation } = open;
    const { size, headers, prepared } = representation;
    const selection = select(wanted, representation);
    switch (selection.kind) {
      case "whole":
        return { status: 200, headers: prepared, body: new FileBody(this.#fs, open, 0, size) };
      case "part": {
        const { start, end } = selection;
        const range = { ...headers, "content-range": `bytes ${start}-${end}/${size}` };
        return { status: 206, headers: range, body: new FileBody(this.#fs, open, start, end - start + 1) };
      }
      case "not-modified": {
        open.release();
        const { "content-type": _, ...validators } = headers;
        return { status: 304, headers: validators };
      }
      case "unsatisfiable":
        open.release();
        return errorPage(416, { "content-range": `bytes */${size}` });
      case "precondition-failed":
        open.release();
        return errorPage(412);
      default:
        return selection satisfies never;
    }
  }
}

function indexOf(path: RequestPath): RequestPath {
  const slash = path.key === "/" ? "" : "/";
  const file =
    typeof path.path === "string" ? `${path.path}${slash}${INDEX}` : joinBytes(path.path, `${slash}${INDEX}`);
  return { ...path, path: file, key: `${path.key}${slash}${INDEX}`, name: INDEX };
}

/** @param text ASCII */
function joinBytes(path: Uint8Array, text: string): Uint8Array {
  const joined = new Uint8Array(path.length + text.length);
  joined.set(path);
  for (let i = 0; i < text.length; i++) joined[path.length + i] = text.charCodeAt(i);
  return joined;
}

function readSelection(request: HttpRequest): SelectionHeaders {
  const found: Partial<Record<(typeof SELECTING)[number], string>> = {};
  for (const name of SELECTING) {
    const value = request.header(name);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** A name that cannot be there is as absent as one that is not. */
const ABSENT: ReadonlySet<number> = new Set([Errno.ENOENT, Errno.ENOTDIR, Errno.ENAMETOOLONG, Errno.ELOOP]);
const FORBIDDEN: ReadonlySet<number> = new Set([Errno.EACCES, Errno.EPERM]);
const BUSY: ReadonlySet<number> = new Set([Errno.ENOMEM, Errno.ENFILE, Errno.EMFILE, Errno.EAGAIN, Errno.ETIMEDOUT]);

/** @throws whatever is no failure of the file system: the server answers that with 500 and logs it */
function answerFailure(error: unknown): HttpResponse {
  if (!(error instanceof SystemError)) throw error;
  if (ABSENT.has(error.errno)) return errorPage(404);
  if (FORBIDDEN.has(error.errno)) return errorPage(403);
  if (BUSY.has(error.errno)) return errorPage(503, { "retry-after": "1" });
  throw error;
}
