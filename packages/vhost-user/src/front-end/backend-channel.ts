/** The socket on which the back-end may say things by itself. One of them is understood: config space has changed. */
import { LibcError, libc } from "../ffi/libc.ts";
import { socketPair } from "../ffi/unix-socket.ts";
import { BackendRequest, Request } from "../protocol/message.ts";
import { type Message, MessageSocket } from "../protocol/message-socket.ts";
import { u64 } from "../protocol/payloads.ts";
import type { Requester } from "./requester.ts";

export interface BackendEvents {
  configChanged(): void;
  /** It broke the protocol. */
  broken(reason: string): void;
}

export class BackendChannel {
  readonly #socket: MessageSocket;

  private constructor(fd: number, events: BackendEvents) {
    const socket = new MessageSocket(fd, {
      message: (message) => answer(socket, message, events),
      // The back-end may close it when it has nothing more to say; that it is gone the other socket tells.
      ended: () => {},
    });
    this.#socket = socket;
  }

  /** Gives the back-end its end; `undefined` when it does not want it. @throws VirtioError ERR_TRANSPORT */
  static async open(requester: Requester, events: BackendEvents): Promise<BackendChannel | undefined> {
    const [ours, theirs] = socketPair();
    const channel = new BackendChannel(ours, events);
    try {
      if ((await requester.tell(Request.SetBackendReqFd, new Uint8Array(0), [theirs])) === "done") return channel;
      channel.close();
      return undefined;
    } catch (error) {
      channel.close();
      throw error;
    } finally {
      libc().close(theirs);
    }
  }

  pump(): boolean {
    return this.#socket.pump();
  }

  get interruptFds(): readonly number[] {
    return [this.#socket.fd];
  }

  unref(): void {
    this.#socket.unref();
  }

  close(): void {
    this.#socket.close();
  }
}

/** What is not understood is refused when it wants an answer, and has no effect. */
const REFUSED = 1n;

function answer(socket: MessageSocket, message: Message, events: BackendEvents): void {
  for (const fd of message.fds) libc().close(fd);
  if (message.kind === "reply") {
    events.broken("it answered on its own socket, where nothing was asked");
    return;
  }
  const isChange = message.request === BackendRequest.ConfigChange;
  if (isChange) events.configChanged();
  if (message.kind !== "request-with-ack" || !socket.open) return;
  try {
    const outcome = socket.send(message.request, u64(isChange ? 0n : REFUSED), "reply");
    if (outcome === "full") events.broken("it does not read the answers to its own requests");
  } catch (error) {
    if (!(error instanceof LibcError)) throw error; // it is gone: the other socket tells
  }
}
