/**
 * The vsock driver. Reading order: wire/ (the packets), connection/ (the rules, for both roles: endpoint.ts first), then
 * driver/: create.ts, driver.ts, connection.ts, the rings; the device is in ./device.
 */
export { type Cid, guestCid, HOST_CID, type Port, PORT_ANY, port, type VsockAddress } from "./address.ts";
export { type CaptureSink, vsockCapture } from "./capture/vsockmon.ts";
export type { CreditUpdates } from "./connection/credit.ts";
export type { PortRange } from "./connection/ephemeral-ports.ts";
export type {
  BufferSlice,
  ConnectionListener,
  ReceivedBytes,
  TxPath,
  VsockConnection,
  VsockDriver,
  VsockListener,
} from "./driver/api.ts";
export { BorrowedBytes, type Lender } from "./driver/borrowed-bytes.ts";
export { createVsockDriver } from "./driver/create.ts";
export type { VsockDriverOptions } from "./driver/options.ts";
export type { VsockDriverStats } from "./driver/stats.ts";
