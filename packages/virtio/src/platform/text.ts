/** UTF-8, without the Encoding API that a bare engine does not have. */

export interface TextCodec {
  encode(text: string): Uint8Array;
  /** Ill-formed sequences become U+FFFD. Must accept views of shared memory. */
  decode(bytes: Uint8Array): string;
}
