/** The first program to copy: it says hello, looks around, and ends. `toril run apps/hello/src/index.ts --dir .` */
import type { Sys } from "@toril/machine";

export async function main(sys: Sys): Promise<void> {
  const { used, size } = sys.memory.usage();
  sys.log.info(`hello from core ${sys.threads.core}`, { heap: `${used} of ${size} bytes in use` });

  // Threads are cooperative: this one runs until it waits.
  const counter = sys.threads.spawn(async (own) => {
    for (let i = 1; i <= 3; i++) {
      await own.threads.sleep(10);
      own.log.info(`tick ${i}`);
    }
    return "three ticks";
  });
  const exit = await sys.threads.join(counter);
  if (exit.kind === "returned") sys.log.info(`a thread returned ${exit.value}`);

  try {
    const names = (await sys.fs.readdir("/")).map((entry) => entry.name);
    sys.log.info(`the root directory has ${names.length} names`, { first: names.sort()[0] });
  } catch (error) {
    sys.log.info(`no files here: ${error instanceof Error ? error.message : error}`);
  }
}
