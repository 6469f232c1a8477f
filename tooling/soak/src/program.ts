/** The web appliance and the echo server on one machine. */
import { main as echo } from "@toril/app-echo-server";
import { main as web } from "@toril/app-web-appliance";
import type { Sys } from "@toril/machine";

export async function main(sys: Sys): Promise<void> {
  const echoing = sys.threads.spawn(echo, { name: "echo server" });
  await web(sys);
  await sys.threads.join(echoing);
}
