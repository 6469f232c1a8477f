/** Errors of the socket calls. */
import { SystemError } from "@toril/virtio/platform";

/** A send that was cut short. What was sent was sent: the peer gets it. */
export class SendError extends SystemError {
  /** Bytes of this call that the connection had taken. */
  readonly sent: number;

  constructor(errno: number, syscall: string, sent: number, detail?: string) {
    super(errno, syscall, detail === undefined ? `${sent} bytes were sent` : `${detail}; ${sent} bytes were sent`);
    this.sent = sent;
  }
}
