/** An open file, as the file calls know it: opaque to programs. */
declare const fileBrand: unique symbol;

export interface File {
  readonly [fileBrand]: true;
}
