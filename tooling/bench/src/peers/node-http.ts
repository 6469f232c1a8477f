/** The peer that one would write by hand: node:http, and the whole file read for each request. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { announce, directory } from "./peer.ts";

const server = createServer((request, response) => {
  readFile(join(directory, request.url ?? "/")).then(
    (bytes) => {
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
      response.end(bytes);
    },
    () => response.writeHead(404).end(),
  );
});
announce(server);
