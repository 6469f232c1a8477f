/** A directory cannot be served at all. `code` says why, the message what to do. */
export class HostDirectoryError extends Error {
  override readonly name = "HostDirectoryError";
  /** ENOENT, ENOTDIR, EACCES, another errno name, or ERR_PLATFORM. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
