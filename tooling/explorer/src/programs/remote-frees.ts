/**
 * A heap whose blocks other cores give back: each of them writes to its block, frees it, and rings; the owner collects
 * whenever it likes, and in the end has every block back once, and for itself.
 */
import { expectThat, type Program, type ThreadProgram, type World } from "../program.ts";

const PAGE = 4096;
/** The control block of the heap is at its base, its only page behind. */
const HEAP_BYTES = 2 * PAGE;
const BELLS = HEAP_BYTES;
const BLOCK_BYTES = 16;

/** @param helpers how many other cores free one block each. */
export function remoteFreesProgram(helpers: number): Program {
  const blockAt = (helper: number): number => PAGE + helper * BLOCK_BYTES;
  const bellOf = (helper: number): number => BELLS + 4 * helper;
  const everyone = Array.from({ length: helpers }, (_, helper) => helper);

  const owner: ThreadProgram = {
    name: "owner",
    start: (world) => {
      const memory = mapped(world);
      const { code, sleep } = world;
      const heap = new code.Heap({ memory, base: code.guestAddress(0), size: HEAP_BYTES });
      const blocks = everyone.map(() => heap.allocate(BLOCK_BYTES));
      expectThat(
        blocks.every((block, helper) => block === blockAt(helper)),
        "the blocks lie elsewhere than this program believes",
      );
      return () => {
        let collected = heap.collectRemoteFrees();
        for (const helper of everyone) {
          sleep(bellOf(helper));
          collected += heap.collectRemoteFrees();
        }
        expectThat(collected === helpers, `${collected} of ${helpers} blocks came back`);
        expectThat(heap.stats().blocksInUse === 0, "a block is still in use");
        for (const block of everyone) {
          const address = heap.allocate(BLOCK_BYTES);
          expectThat(address !== undefined, `no room for block ${block}`);
          memory.write(code.guestAddress(address + 3), Uint8Array.of(3, 4));
        }
      };
    },
  };
  const helperThreads = everyone.map(
    (helper): ThreadProgram => ({
      name: `helper ${helper}`,
      start: (world) => {
        const memory = mapped(world);
        const { code, ring } = world;
        const remote = new code.RemoteHeap({ memory, base: code.guestAddress(0) });
        const block = code.guestAddress(blockAt(helper));
        return () => {
          // The last byte of what the list's link will lie in, and the one behind.
          memory.write(code.guestAddress(block + 3), Uint8Array.of(1, 2));
          remote.free(block);
          ring(bellOf(helper));
        };
      },
    }),
  );
  return {
    name: `a heap and ${helpers} cores that free its blocks`,
    bytes: HEAP_BYTES + 4 * helpers,
    threads: [owner, ...helperThreads],
    nameOf: (at) => {
      if (at >= BELLS) return `the doorbell of helper ${(at - BELLS) / 4}`;
      if (at >= PAGE) return `block ${Math.floor((at - PAGE) / BLOCK_BYTES)}, byte ${at % BLOCK_BYTES}`;
      return ["magic", "pages", "head of the freed list"][at >> 2] ?? "";
    },
  };
}

function mapped({ code, bytes }: World): ReturnType<typeof code.GuestMemory.map> {
  return code.GuestMemory.map([{ base: code.guestAddress(0), buffer: bytes.asBuffer(), size: HEAP_BYTES }]);
}
