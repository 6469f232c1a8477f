/** What is wrong with what a client sent: the status that answers it, and why, for the log. */
export interface RequestFailure {
  readonly status: number;
  readonly reason: string;
}

/** For handlers, and from reading a request's body: answers with this status. Its message goes to the client. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;

  /** @param status 400 to 599 */
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
