/** A bridge could not start. `code` is Node's (EADDRINUSE, EACCES, …), the message says what to do. */
export class BridgeError extends Error {
  override readonly name = "BridgeError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** What Node reported for an address, as one clear line. */
  static from(error: unknown, address: string): BridgeError {
    const { code = "EIO", message = String(error) } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      EADDRINUSE: "somebody else listens there: choose another port, or stop the other program",
      EADDRNOTAVAIL: "this machine has no such address",
      EACCES: "this user may not listen there: choose a port from 1024 on",
      ENOTFOUND: "there is no host of that name",
      ENOENT: "there is no such directory",
    };
    return new BridgeError(code, `cannot listen on ${address}: ${reasons[code] ?? message}`);
  }
}
