/** nginx as a peer: an ordinary child with its own configuration, one worker, sendfile, no access log. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningServer } from "./servers.ts";

/** Where distributions put it: often not on a user's PATH. */
const PLACES = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];

function configuration(directory: string, state: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${state};`);
  return `daemon off; master_process off; worker_processes 1; pid ${state}/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  ${temporary.join(" ")}
  server { listen 127.0.0.1:${port} backlog=1024; root ${directory}; }
}
`;
}

/** `undefined` when nginx is not installed. @throws Error when it does not come up */
export async function startNginx(directory: string): Promise<RunningServer | undefined> {
  const program = PLACES.find(existsSync);
  if (program === undefined) return undefined;
  const state = mkdtempSync(join(tmpdir(), "toril-nginx-"));
  const port = await freePort();
  writeFileSync(join(state, "nginx.conf"), configuration(directory, state, port));
  const child = spawn(program, ["-p", state, "-c", "nginx.conf"], { stdio: ["ignore", "ignore", "inherit"] });
  const stop = async (): Promise<string> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(state, { recursive: true, force: true });
    return "";
  };
  for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt++) {
    if (await listens(port)) return { name: "nginx", url: `http://127.0.0.1:${port}/`, pid: child.pid ?? 0, stop };
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  await stop();
  throw new Error("nginx is installed, but did not listen");
}

/** nginx cannot be told to take any port: one that was free a moment ago has to do. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
