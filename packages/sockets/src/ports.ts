/** The local ports that sockets of one layer are bound to. */
import { Errno, SystemError } from "@toril/virtio/platform";
import { PORT_ANY, type Port, port } from "@toril/vsock";

/** Where `bind` without a port begins to look: far from the well-known ports, and from where drivers begin for connect. */
const FIRST_EPHEMERAL = 0xc000_0000;
const LAST_EPHEMERAL = 0xffff_fffe;

export class PortTable {
  readonly #bound = new Set<number>();
  #next = FIRST_EPHEMERAL;

  has(value: number): boolean {
    return this.#bound.has(value);
  }

  /** @throws SystemError EADDRINUSE, EINVAL */
  bind(wanted: number | undefined): Port {
    const chosen = wanted === undefined || wanted === PORT_ANY ? this.#ephemeral() : checkedPort("bind", wanted);
    if (this.#bound.has(chosen))
      throw new SystemError(Errno.EADDRINUSE, "bind", `port ${chosen} is bound to another socket`);
    this.#bound.add(chosen);
    return chosen;
  }

  /** Takes note of a port that the driver has given out. */
  note(given: Port): void {
    this.#bound.add(given);
  }

  release(bound: Port): void {
    this.#bound.delete(bound);
  }

  #ephemeral(): Port {
    while (this.#bound.has(this.#next)) this.#advance();
    const chosen = port(this.#next);
    this.#advance();
    return chosen;
  }

  #advance(): void {
    this.#next = this.#next === LAST_EPHEMERAL ? FIRST_EPHEMERAL : this.#next + 1;
  }
}

/** @throws SystemError EINVAL */
export function checkedPort(syscall: string, value: number): Port {
  if (!Number.isInteger(value) || value < 0 || value >= PORT_ANY) {
    throw new SystemError(Errno.EINVAL, syscall, `${value} is not a vsock port: use 0 to 4294967294`);
  }
  return port(value);
}
