import { DaemonError, FfiUnavailable } from "@toril/vhost-user";
import { VirtioError } from "@toril/virtio";
import { expect, test } from "vitest";
import type { MachineOptions } from "../machine.ts";
import { machineSettings } from "../settings.ts";
import { explained } from "./errors.ts";

const settings = (options: Omit<MachineOptions, "kind">) => machineSettings({ kind: "vhost-user", ...options });
const directory = { path: "/site" };
const cacheBytes = 16 * 2 ** 20;
const answerTimeoutMs = 30_000;

test("each device is where the options say: behind a socket, spawned, our own, or not there", () => {
  const fs = { socket: "/fs" };
  const vsock = { socket: "/v", uds: "/u" };
  expect(settings({ directory, vhostUser: { spawn: true } }).vhostUser).toEqual({
    files: { kind: "spawn" },
    vsock: { kind: "spawn" },
    answerTimeoutMs,
  });
  expect(settings({ vhostUser: { spawn: true } }).vhostUser?.files).toEqual({ kind: "none" });
  expect(settings({ vhostUser: { fs } }).vhostUser).toEqual({
    files: { kind: "back-end", socket: "/fs", cache: "auto", cacheBytes },
    vsock: { kind: "own" },
    answerTimeoutMs,
  });
  expect(settings({ directory, vhostUser: { vsock } }).vhostUser).toEqual({
    files: { kind: "own" },
    vsock: { kind: "back-end", ...vsock },
    answerTimeoutMs,
  });
  expect(settings({ vhostUser: { vsock, fs: { ...fs, cache: "none" } } }).vhostUser?.files).toMatchObject({
    cache: "none",
  });
  expect(machineSettings({ kind: "inline" }).vhostUser).toBeUndefined();
});

test.each<[MachineOptions, RegExp]>([
  [{ kind: "vhost-user" }, /has no vhost-user device/],
  [{ kind: "vhost-user", vhostUser: { spawn: true, answerTimeoutMs: 0 } }, /answerTimeoutMs is 0/],
  [{ kind: "vhost-user", vhostUser: {} }, /has no vhost-user device/],
  [{ kind: "vhost-user", directory, vhostUser: { fs: { socket: "s" } } }, /not from both/],
  [{ kind: "vhost-user", vhostUser: { spawn: true, fs: { socket: "s" } } }, /leave spawn out/],
  [{ kind: "vhost-user", cid: 5, vhostUser: { vsock: { socket: "s" } } }, /context id/],
  [{ kind: "vhost-user", cores: 2, vhostUser: { spawn: true } }, /has one core, not 2/],
  [{ kind: "inline", vhostUser: { spawn: true } }, /the inline machine has no vhost-user devices/],
])("%j is no machine", (options, message) => {
  expect(() => machineSettings(options)).toThrow(RangeError);
  expect(() => machineSettings(options)).toThrow(message);
});

test("what the surroundings lack is one line with a code; other errors stay what they are", () => {
  expect(explained(new FfiUnavailable("koffi is not installed"))).toMatchObject({
    code: "ENOSYS",
    message: "the vhost-user machine cannot run here: koffi is not installed",
  });
  expect(explained(new DaemonError("it ended; it said: one\n  two"))).toMatchObject({
    code: "ECHILD",
    message: "it ended; it said: one | two",
  });
  expect(explained(new VirtioError("ERR_TRANSPORT", "nobody"))).toMatchObject({ code: "ECONNREFUSED" });
  const bug = new TypeError("a bug");
  expect(explained(bug)).toBe(bug);
});
