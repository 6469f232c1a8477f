#!/usr/bin/env node
import { runCli } from "./cli.ts";

const code = await runCli(process.argv.slice(2), {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
// The machine has let go of everything; what is still open (a log pipe that nobody reads) must not keep us.
process.exit(code);
