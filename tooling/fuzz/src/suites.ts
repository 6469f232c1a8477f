/** What is fuzzed: test files whose cases come from fast-check with a new seed in each run. */

export interface Suite {
  readonly what: string;
  /** Below packages/. */
  readonly package: string;
  /** Below the package. */
  readonly file: string;
}

export const SUITES: readonly Suite[] = [
  { what: "rings, both roles, over random memory", package: "virtqueue", file: "src/queue-fuzz.test.ts" },
  { what: "ring driver and device against a model", package: "virtqueue", file: "src/queue-model.test.ts" },
  { what: "allocator against a model", package: "memory", file: "src/allocator/heap.model.test.ts" },
  {
    what: "vsock connection against two byte streams",
    package: "vsock",
    file: "src/connection/endpoint.model.test.ts",
  },
  { what: "vsock driver and device over real rings", package: "vsock", file: "src/fuzz.test.ts" },
  { what: "lent buffers against a model", package: "vsock", file: "src/driver/lending.model.test.ts" },
  { what: "vsock device, a guest without rules", package: "vsock", file: "src/device/vsock-device.test.ts" },
  { what: "vsock driver, a device without rules", package: "vsock", file: "src/driver/driver.test.ts" },
  { what: "FUSE server, any messages", package: "virtio-fs", file: "src/device/fuse-server.test.ts" },
  { what: "FUSE client, a device without rules", package: "virtio-fs", file: "src/driver/hostile-device.test.ts" },
  { what: "file cache and lookup counts against models", package: "virtio-fs", file: "src/driver/cache.model.test.ts" },
  { what: "file calls against Linux", package: "virtio-fs", file: "src/driver/against-linux.test.ts" },
  { what: "HTTP parser against Node's", package: "http", file: "src/parser.differential.test.ts" },
];
