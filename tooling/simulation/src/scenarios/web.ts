/** The web appliance, and those who read its site. */
import { main } from "@toril/app-web-appliance";
import { HttpClient } from "../http-client.ts";
import { fillSite, SITE } from "../site.ts";
import type { Scenario } from "../world.ts";

const GRACE_MS = 5_000;
/** Of a server that is flooded. */
const FEW_CONNECTIONS = 6;

export const web: Scenario = {
  name: "web",
  ends: "when asked",
  main,
  prepare: fillSite,
  args: (faults) => ({ graceMs: GRACE_MS, ...(faults.has("flood") ? { maxConnections: FEW_CONNECTIONS } : {}) }),
  visitors(world) {
    const random = world.simulation.random("visitors");
    const count = world.faults.has("flood") ? 20 + random.next(30) : 1 + random.next(6);
    return Array.from({ length: count }, (_, i) => new HttpClient(world, `client ${i}`, SITE));
  },
};
