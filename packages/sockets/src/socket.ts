/** A socket, as the socket calls know it: opaque to programs. It may be handed to another thread of the same core. */
export abstract class Socket {
  /** Never there at run time: a protected member makes the type nominal, so that only the socket calls make sockets. */
  declare protected readonly brand: "Socket";
}
