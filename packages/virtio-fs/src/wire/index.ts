/**
 * The FUSE wire format (kernel protocol 7.31 to 7.38), shared by driver and device: bytes to structs and back, and
 * nothing else. A `read…` fills an object that the caller keeps; a `write…` fills bytes that the caller owns. Lengths
 * are the caller's to check. Little-endian, though virtio 1.3 §5.11.6.1 would let a big-endian guest use its own order;
 * the device refuses such a session.
 */
export * from "./attributes.ts";
export * from "./directory.ts";
export * from "./entry.ts";
export * from "./header.ts";
export * from "./init.ts";
export * from "./integers.ts";
export * from "./io.ts";
export * from "./names.ts";
export * from "./opcode.ts";
export * from "./open.ts";
export * from "./statfs.ts";
