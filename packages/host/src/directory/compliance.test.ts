import { fileSystemCompliance } from "@toril/virtio-fs/testing";
import { describe, expect, test } from "vitest";
import { CONFINEMENTS, directory, serve } from "../testing/served-directory.ts";
import type { HostDirectoryOptions } from "./options.ts";

/** Cases that ask about an inode that has no name and is not open: only a descriptor holds such a one. */
const HELD = /FORGET: an inode without names|READDIRPLUS: an item that is delivered/;

function suite(options: Omit<HostDirectoryOptions, "path">, holds: "always" | "not always"): void {
  for (const { name, run } of fileSystemCompliance) {
    if (holds === "always" || !HELD.test(name)) test(name, () => run(serve(directory(), options)));
  }
}

describe.each(CONFINEMENTS)("compliance, %s", (confinement) => {
  suite({ access: "writable", confinement }, confinement === "descriptors" ? "always" : "not always");
});

describe.each(CONFINEMENTS)("compliance, %s, READs in the thread pool, few descriptors", (confinement) => {
  suite({ access: "writable", confinement, poolReadBytes: 1000, maxPathDescriptors: 4 }, "not always");
});

test("the cases that are left out are there", () => {
  expect(fileSystemCompliance.filter(({ name }) => HELD.test(name))).toHaveLength(2);
});
