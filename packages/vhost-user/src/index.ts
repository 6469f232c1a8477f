/**
 * vhost-user, the front-end: a Transport to devices in other processes. Reading order: message.ts (what goes over the
 * socket), ffi.ts (libc), front-end.ts.
 */
export { FfiUnavailable, LibcError } from "./ffi.ts";
export { type VhostUserOptions, VhostUserTransport } from "./front-end.ts";
