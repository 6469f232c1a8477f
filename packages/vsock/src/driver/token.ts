/** What the driver's queues return: which buffer the device has used. */
import type { EventBuffer } from "./event-ring.ts";
import type { RxBuffer } from "./rx-ring.ts";
import type { TxToken } from "./tx-ring.ts";

export type Token = TxToken | RxBuffer | EventBuffer;
