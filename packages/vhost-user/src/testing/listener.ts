/** A Unix socket that back-ends under test are served on. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { libc } from "../ffi/libc.ts";
import { acceptUnix, listenUnix } from "../ffi/unix-socket.ts";
import { watch } from "../ffi/watch.ts";

export interface TestListener {
  readonly path: string;
  close(): void;
}

/** Calls back with each connection's descriptor, which is the callee's. */
export function listenForTest(accepted: (fd: number) => void): TestListener {
  const folder = mkdtempSync(join(tmpdir(), "toril-vhost-user-"));
  const path = join(folder, "socket");
  const fd = listenUnix(path);
  const watching = watch(fd, () => {
    for (let connection = acceptUnix(fd); connection >= 0; connection = acceptUnix(fd)) accepted(connection);
  });
  return {
    path,
    close: () => {
      watching.close();
      libc().close(fd);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
