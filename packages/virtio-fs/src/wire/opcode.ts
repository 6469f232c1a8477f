/** What a request asks for: `fuse_in_header.opcode` (FUSE kernel protocol 7.38, enum fuse_opcode). */
export const Opcode = {
  Lookup: 1,
  /** No reply. */
  Forget: 2,
  Getattr: 3,
  Setattr: 4,
  Readlink: 5,
  Symlink: 6,
  Mknod: 8,
  Mkdir: 9,
  Unlink: 10,
  Rmdir: 11,
  Rename: 12,
  Link: 13,
  Open: 14,
  Read: 15,
  Write: 16,
  Statfs: 17,
  Release: 18,
  Fsync: 20,
  Setxattr: 21,
  Getxattr: 22,
  Listxattr: 23,
  Removexattr: 24,
  Flush: 25,
  Init: 26,
  Opendir: 27,
  Readdir: 28,
  Releasedir: 29,
  Fsyncdir: 30,
  Getlk: 31,
  Setlk: 32,
  Setlkw: 33,
  Access: 34,
  Create: 35,
  /** No reply, but EAGAIN where the request it names is not known. */
  Interrupt: 36,
  Bmap: 37,
  Destroy: 38,
  Ioctl: 39,
  Poll: 40,
  NotifyReply: 41,
  /** No reply. */
  BatchForget: 42,
  Fallocate: 43,
  Readdirplus: 44,
  Rename2: 45,
  Lseek: 46,
  CopyFileRange: 47,
  Setupmapping: 48,
  Removemapping: 49,
  Syncfs: 50,
  Tmpfile: 51,
} as const;

export type OpcodeName = keyof typeof Opcode;
export type Opcode = (typeof Opcode)[OpcodeName];

const names = new Map<number, OpcodeName>();
for (const name of Object.keys(Opcode) as OpcodeName[]) names.set(Opcode[name], name);

export function isOpcode(value: number): value is Opcode {
  return names.has(value);
}

/** For logs: the name, or the number where there is none. */
export function opcodeName(value: number): string {
  return names.get(value)?.toUpperCase() ?? `opcode ${value}`;
}
