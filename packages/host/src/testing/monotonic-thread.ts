/** Tells its time to whoever asks. */
import { parentPort } from "node:worker_threads";
import { monotonicNow } from "../platform/monotonic.ts";

const now = monotonicNow();
parentPort?.on("message", () => parentPort?.postMessage(now()));
parentPort?.postMessage("up");
