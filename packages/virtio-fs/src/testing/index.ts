/** For tests of what plugs into virtio-fs: your own file system, or your own wire code. */
export { type ComplianceCase, fileSystemCompliance } from "./file-system-compliance.ts";
export { ComplianceError } from "./file-system-user.ts";
export { goldenBytes } from "./golden.ts";
export { TestMount, type TestMountOptions } from "./test-mount.ts";
export {
  fuseRequest,
  initRequest,
  nulled,
  parseReply,
  type Reply,
  type RequestFields,
  readArguments,
  words,
  writeArguments,
} from "./fuse-requests.ts";
export { type ScriptedAnswer, ScriptedFuseDevice, type ScriptedRequest } from "./scripted-fuse-device.ts";
