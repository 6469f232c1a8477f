/** A socket, as the socket calls know it: opaque to programs. */
declare const socketBrand: unique symbol;

export interface Socket {
  readonly [socketBrand]: true;
}
