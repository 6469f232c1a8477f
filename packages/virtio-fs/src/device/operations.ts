/** Which function serves which opcode, how large its answer is, and whether it may be answered early. */
import {
  ATTR_OUT_SIZE,
  ENTRY_OUT_SIZE,
  LSEEK_OUT_SIZE,
  OPEN_OUT_SIZE,
  Opcode,
  STATFS_OUT_SIZE,
  WRITE_OUT_SIZE,
} from "../wire/index.ts";
import { fsyncdir, opendir, readdir, readdirplus, releasedir } from "./directory-operations.ts";
import { fallocate, flush, fsync, lseek, open, read, release, write } from "./file-operations.ts";
import { access, getattr, lookup, readlink, setattr, statfs } from "./inode-operations.ts";
import { create, link, mkdir, mknod, rename, rename2, rmdir, symlink, unlink } from "./name-operations.ts";
import type { Operation } from "./serving.ts";

/** `undefined`: not served, ENOSYS. Most clients remember that and do without. */
export function operationFor(opcode: Opcode): Operation | undefined {
  switch (opcode) {
    case Opcode.Lookup:
      return lookup;
    case Opcode.Getattr:
      return getattr;
    case Opcode.Setattr:
      return setattr;
    case Opcode.Readlink:
      return readlink;
    case Opcode.Symlink:
      return symlink;
    case Opcode.Mknod:
      return mknod;
    case Opcode.Mkdir:
      return mkdir;
    case Opcode.Unlink:
      return unlink;
    case Opcode.Rmdir:
      return rmdir;
    case Opcode.Rename:
      return rename;
    case Opcode.Rename2:
      return rename2;
    case Opcode.Link:
      return link;
    case Opcode.Open:
      return open;
    case Opcode.Read:
      return read;
    case Opcode.Write:
      return write;
    case Opcode.Statfs:
      return statfs;
    case Opcode.Release:
      return release;
    case Opcode.Fsync:
      return fsync;
    case Opcode.Flush:
      return flush;
    case Opcode.Opendir:
      return opendir;
    case Opcode.Readdir:
      return readdir;
    case Opcode.Readdirplus:
      return readdirplus;
    case Opcode.Releasedir:
      return releasedir;
    case Opcode.Fsyncdir:
      return fsyncdir;
    case Opcode.Access:
      return access;
    case Opcode.Create:
      return create;
    case Opcode.Fallocate:
      return fallocate;
    case Opcode.Lseek:
      return lseek;
    // Served by FuseServer itself: they are about the session, or get no reply.
    case Opcode.Init:
    case Opcode.Destroy:
    case Opcode.Forget:
    case Opcode.BatchForget:
    case Opcode.Interrupt:
      return undefined;
    // Extended attributes, locks, DAX windows, ioctl and the like: nothing of ours needs them.
    case Opcode.Setxattr:
    case Opcode.Getxattr:
    case Opcode.Listxattr:
    case Opcode.Removexattr:
    case Opcode.Getlk:
    case Opcode.Setlk:
    case Opcode.Setlkw:
    case Opcode.Bmap:
    case Opcode.Ioctl:
    case Opcode.Poll:
    case Opcode.NotifyReply:
    case Opcode.CopyFileRange:
    case Opcode.Setupmapping:
    case Opcode.Removemapping:
    case Opcode.Syncfs:
    case Opcode.Tmpfile:
      return undefined;
    default:
      return opcode satisfies never;
  }
}

const replySizes = new Map<number, number>([
  [Opcode.Lookup, ENTRY_OUT_SIZE],
  [Opcode.Symlink, ENTRY_OUT_SIZE],
  [Opcode.Mknod, ENTRY_OUT_SIZE],
  [Opcode.Mkdir, ENTRY_OUT_SIZE],
  [Opcode.Link, ENTRY_OUT_SIZE],
  [Opcode.Create, ENTRY_OUT_SIZE + OPEN_OUT_SIZE],
  [Opcode.Getattr, ATTR_OUT_SIZE],
  [Opcode.Setattr, ATTR_OUT_SIZE],
  [Opcode.Open, OPEN_OUT_SIZE],
  [Opcode.Opendir, OPEN_OUT_SIZE],
  [Opcode.Write, WRITE_OUT_SIZE],
  [Opcode.Statfs, STATFS_OUT_SIZE],
  [Opcode.Lseek, LSEEK_OUT_SIZE],
]);

/** Bytes that the payload of a good answer has at least. */
export function replySize(opcode: number): number {
  return replySizes.get(opcode) ?? 0;
}

const lookingOnly: ReadonlySet<number> = new Set([
  Opcode.Lookup,
  Opcode.Getattr,
  Opcode.Readlink,
  Opcode.Statfs,
  Opcode.Access,
  Opcode.Opendir,
  Opcode.Lseek,
]);

/** Whether a request changes nothing and fills no guest memory, so that it may be answered before it is done. */
export function interruptible(opcode: number): boolean {
  return lookingOnly.has(opcode);
}
