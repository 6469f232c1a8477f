/** What core workers and device workers have in common: their way back to the supervisor. */
import { parentPort } from "node:worker_threads";
import type { Log, LogFields } from "@toril/virtio/platform";
import { Mailbox } from "./mailbox.ts";
import { carryError, type MailboxPart, type Notice, type Request } from "./plan.ts";

export function tell(notice: Notice): void {
  parentPort?.postMessage(notice);
}

/** The supervisor's log, from here. Debug messages stay: they would cost a copy each. */
export function supervisorLog(): Log {
  const say =
    (level: "info" | "warn" | "error") =>
    (message: string, fields?: LogFields): void =>
      tell({ kind: "log", level, message, fields });
  return { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error") };
}

/** Serves the supervisor's requests, one after the other or side by side, and replies to each. */
export function serveRequests(
  { port, count }: MailboxPart,
  serve: (request: Request) => Promise<unknown> | unknown,
): Mailbox<Request> {
  return new Mailbox<Request>(port, new Int32Array(count), (request) => {
    const { number } = request;
    Promise.resolve()
      .then(() => serve(request))
      .then(
        (value) => tell({ kind: "reply", number, value }),
        (error: unknown) => tell({ kind: "refusal", number, error: carryError(error) }),
      );
  });
}
