/** The device's thread of `bench:ring`. */
import { workerData } from "node:worker_threads";
import { GuestMemory } from "@toril/memory";
import { serveRuns, threadRings } from "./ring-load.ts";

serveRuns(threadRings(GuestMemory.attach(workerData as object)));
