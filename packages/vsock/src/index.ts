export { type Cid, guestCid, HOST_CID, type Port, PORT_ANY, port, type VsockAddress } from "./address.ts";
export type {
  ConnectionListener,
  ReceivedBytes,
  TxPath,
  VsockConnection,
  VsockDriver,
  VsockDriverStats,
  VsockListener,
} from "./driver/api.ts";
