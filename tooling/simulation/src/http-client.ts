/** A browser, a crawler, or somebody with bad manners: asks for files and checks every byte of the answers. */
import { Errno } from "@toril/virtio/platform";
import { firstDifference } from "./bytes.ts";
import { Client } from "./client.ts";
import { type ResponseHead, ResponseReader } from "./response-reader.ts";
import type { SitePage } from "./site.ts";
import { once, type World } from "./world.ts";

interface Request {
  readonly text: string;
  readonly page: SitePage;
  readonly method: "GET" | "HEAD";
  readonly range: { readonly start: number; readonly end: number } | undefined;
}

/** Errors of the server that a fault excuses. */
const HONEST_FAILURES: ReadonlySet<number> = new Set([403, 500, 503]);

export class HttpClient extends Client {
  readonly #requests: Request[];
  readonly #manner: "one by one" | "pipelined";
  readonly #reader: ResponseReader;
  #sent = 0;
  #answered = 0;
  #current: { head: ResponseHead; expected: Uint8Array | undefined } | undefined;
  /** When the request that is being answered was sent. */
  #askedAt = 0;
  exact = 0;
  failed = 0;

  constructor(world: World, name: string, pages: readonly SitePage[]) {
    super(world, name, 80);
    const { random } = this;
    const count = 1 + random.next(once(random, 4) ? 12 : 4);
    this.#requests = Array.from({ length: count }, () => this.#compose(pages));
    this.#manner = once(random, 3) ? "pipelined" : "one by one";
    this.#reader = new ResponseReader({
      head: (head) => this.#head(head),
      body: (bytes, offset) => this.#body(bytes, offset),
      end: () => this.#answerEnds(),
      broken: (why) => {
        world.findings.add(`${name} was sent ${why}`);
        this.reset();
      },
    });
  }

  protected connected(): void {
    if (this.#manner === "one by one") this.#sendNext();
    else while (this.#sent < this.#requests.length) this.#sendNext();
  }

  protected take(bytes: Uint8Array): void {
    this.#reader.read(bytes);
  }

  protected sentAll(): void {
    this.endWriting();
  }

  protected refused(errno: number): void {
    const late = errno === Errno.ETIMEDOUT && this.world.faults.has("stalls");
    const excused = late || this.#cutExcused() || this.brokenOff !== undefined;
    this.world.findings.check(excused, `${this.name} was refused: errno ${errno}`);
  }

  protected over(errno: number): void {
    const missing = this.#requests.length - this.#answered;
    if (missing === 0) return;
    this.failed += missing;
    const excused = this.brokenOff !== undefined || this.#cutExcused();
    const what = `${this.#answered} of ${this.#requests.length} answers`;
    this.world.findings.check(excused, `${this.name} was cut off after ${what}: errno ${errno}`);
  }

  #compose(pages: readonly SitePage[]): Request {
    const { random } = this;
    const page = pages[random.next(pages.length)] as SitePage;
    const method = once(random, 6) ? "HEAD" : "GET";
    const size = page.content?.length ?? 0;
    let range: Request["range"];
    if (size > 10 && method === "GET" && once(random, 4)) {
      const start = random.next(size);
      range = { start, end: start + random.next(size - start) };
    }
    const field = range === undefined ? "" : `Range: bytes=${range.start}-${range.end}\r\n`;
    return { text: `${method} ${page.path} HTTP/1.1\r\nHost: toril\r\n${field}\r\n`, page, method, range };
  }

  #sendNext(): void {
    const request = this.#requests[this.#sent++];
    this.#askedAt = this.world.simulation.now();
    if (request !== undefined) this.write(Buffer.from(request.text, "latin1"));
  }

  #head(head: ResponseHead): "with body" | "without body" {
    const request = this.#requests[this.#answered];
    if (request === undefined) {
      this.world.findings.add(`${this.name} got an answer to nothing`);
      return "with body";
    }
    const expected = this.#expected(request, head);
    this.#current = { head, expected };
    if (expected !== undefined && head.length !== expected.length) {
      this.#wrong(request, `${head.length} bytes were announced, ${expected.length} are right`);
    }
    return request.method === "HEAD" ? "without body" : "with body";
  }

  /** The bytes that must come; undefined: the answer is one that says no more than its status. */
  #expected({ page, range, method }: Request, head: ResponseHead): Uint8Array | undefined {
    const { status } = head;
    const right = range !== undefined && page.status === 200 ? 206 : page.status;
    if (status === right) {
      if (page.content === undefined) return undefined;
      return range === undefined ? page.content : page.content.subarray(range.start, range.end + 1);
    }
    const excused = HONEST_FAILURES.has(status) && this.#failureExcused();
    if (!excused) this.world.findings.add(`${this.name}: ${method} ${page.path} gave ${status}, not ${right}`);
    this.failed++;
    return undefined;
  }

  #body(bytes: Uint8Array, offset: number): void {
    const { expected } = this.#current ?? {};
    if (expected === undefined) return;
    const at = firstDifference(bytes, expected.subarray(offset, offset + bytes.length));
    const request = this.#requests[this.#answered];
    if (at >= 0 && request !== undefined) this.#wrong(request, `byte ${offset + at} is wrong`);
  }

  #answerEnds(): void {
    const { simulation, faults, findings } = this.world;
    if (this.#current?.expected !== undefined) this.exact++;
    const closing = this.#current?.head.fields.get("connection") === "close";
    this.#current = undefined;
    this.#answered++;
    const took = simulation.now() - this.#askedAt;
    simulation.note(`${this.name} has answer ${this.#answered}`);
    if (
      this.#sent > 0 &&
      !faults.any("stalls", "slow-clients", "slow-files", "no-memory", "late-bells", "file-errors", "device-reset")
    ) {
      findings.check(took < PROMPT_MS, `${this.name} waited ${Math.round(took)} ms for an answer: somebody slept`);
    }
    if (this.#answered === this.#requests.length || closing) this.endWriting();
    else if (this.#manner === "one by one") this.#sendNext();
  }

  #failureExcused(): boolean {
    return this.world.faults.any("file-errors", "device-reset", "no-memory", "flood");
  }

  #cutExcused(): boolean {
    return this.world.faults.any("file-errors", "device-reset", "transport-reset", "flood");
  }

  #wrong({ method, page, range }: Request, what: string): void {
    const part = range === undefined ? "" : ` ${range.start}-${range.end}`;
    this.world.findings.add(`WRONG BYTES: ${this.name}: ${method} ${page.path}${part}: ${what}`);
  }
}

/** Where nothing is slow, an answer takes a few virtual milliseconds; a wake-up that is lost costs a timer. */
const PROMPT_MS = 900;
