/** The command line: which commands there are, and what their ends mean to a shell. */
import { Command, CommanderError } from "commander";
import { addPingPong } from "./commands/ping-pong.ts";
import { addRun } from "./commands/run.ts";
import { addServe } from "./commands/serve.ts";
import type { CommandContext } from "./context.ts";
import { CommandError, UsageError } from "./usage.ts";
import { version } from "./version.ts";

const ExitCode = { DONE: 0, FAILED: 1, WRONG_USAGE: 2 } as const;

/** @returns the exit code: 0 done, 1 failed, 2 wrong usage, or the program's own */
export async function runCli(args: readonly string[], context: CommandContext): Promise<number> {
  let code: number = ExitCode.DONE;
  const program = new Command("toril")
    .description("A Toro-style unikernel in TypeScript: virtio-vsock is its network, virtio-fs its file system.")
    .version(version())
    .configureOutput({
      writeOut: (text) => context.stdout(text),
      writeErr: (text) => context.stderr(text),
      outputError: (text, write) => write(text.replace(/^error: /, "toril: ")),
    })
    .exitOverride();
  const exit = (result: number): void => {
    code = result;
  };
  addServe(program, context, exit);
  addRun(program, context, exit);
  addPingPong(program, context, exit);
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Commander has said it; help and --version come this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.DONE : ExitCode.WRONG_USAGE;
    const text = error instanceof CommandError || !(error instanceof Error) ? String(message(error)) : stackOf(error);
    context.stderr(`toril: ${text}\n`);
    return error instanceof UsageError ? ExitCode.WRONG_USAGE : ExitCode.FAILED;
  }
}

function message(error: unknown): unknown {
  return error instanceof Error ? error.message : error;
}

/** Something nobody foresaw: whoever reports it needs to say where. */
function stackOf(error: Error): string {
  return error.stack ?? error.message;
}
