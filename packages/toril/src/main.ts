#!/usr/bin/env node
import { runCli } from "./cli.ts";

// A reader that has seen enough (`toril … | head -1`) is no failure: what it does not want is dropped, and the work goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}
const code = await runCli(process.argv.slice(2), {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
// What is written to a pipe may still be on its way. The machine has let go of everything else.
await Promise.all([process.stdout, process.stderr].map(written));
process.exit(code);

/** Settles when the stream has handed over what it holds, or cannot any more. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once("close", resolve);
    stream.write("", () => resolve());
  });
}
