/** Peers in C that answer questions: one line in, one figure out. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { compile } from "./peers/compile.ts";

export interface CPeer {
  ask(line: string): Promise<number>;
  stop(): void;
}

/** Starts the peer that `compile` makes of these files; `undefined`, with the reason on stderr, where it cannot. */
export function startCPeer(name: string, ...more: readonly string[]): CPeer | undefined {
  let program: string;
  try {
    program = compile(name, ...more);
  } catch (error) {
    console.error(`the C peer is absent: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(line) {
      child.stdin.write(`${line}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`the C peer ${name} ended at "${line}"`);
      return Number(value);
    },
    stop: () => void child.stdin.end(),
  };
}
