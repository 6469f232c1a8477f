/** The allocator: page runs, slabs, blocks, the heap over them, and what other cores free. */
import type { Mutant } from "./mutant.ts";

const MODEL = "src/allocator/heap.model.test.ts";
const RUNS = {
  package: "memory",
  file: "src/allocator/page-runs.ts",
  tests: ["src/allocator/page-runs.test.ts", MODEL],
};
const SLABS = { package: "memory", file: "src/allocator/slabs.ts", tests: ["src/allocator/slabs.test.ts", MODEL] };
const BLOCKS = {
  package: "memory",
  file: "src/allocator/blocks.ts",
  tests: ["src/allocator/blocks.test.ts", MODEL],
};
const HEAP = { package: "memory", file: "src/allocator/heap.ts", tests: ["src/allocator/heap.test.ts", MODEL] };
const REMOTE = ["src/allocator/remote-heap.test.ts", MODEL];

export const allocatorMutants: readonly Mutant[] = [
  {
    ...RUNS,
    what: "a free run of one page is not joined by the run behind it",
    why: "such a run is marked as its first page, not as its last",
    text: "if (kind === PAGE_FREE_LAST || kind === PAGE_FREE_FIRST) {",
    replacement: "if (kind === PAGE_FREE_LAST) {",
  },
  {
    ...RUNS,
    what: "a run that comes back does not join the free run behind it",
    why: "everything works, until no run is long enough",
    text: "if (after < this.count && this.kinds[after] === PAGE_FREE_FIRST) {",
    replacement: "if (after < this.count - 1 && this.kinds[after] === PAGE_FREE_FIRST) {",
  },
  {
    ...RUNS,
    what: "a run one page too short is taken",
    why: "runs of one bin differ in length; the bin's first one is at hand",
    text: "return binOf(pages + (1 << (power - SUBDIVISION_SHIFT)) - 1);",
    replacement: "return binOf(pages);",
  },
  {
    ...RUNS,
    what: "pages before an aligned run are lost",
    why: "the rest behind it goes back, and that looks like all",
    text: "    if (skipped > 0) this.#insert(run, skipped);\n",
    replacement: "",
  },
  {
    ...RUNS,
    what: "taken pages are not counted",
    why: "the count only says no early when a heap is full",
    text: "    this.#free -= pages;\n",
    replacement: "",
  },
  {
    ...SLABS,
    what: "a full slab stays in the list of those with free blocks",
    why: "`END` marks the last free block, easily taken for one more",
    text: "    if (next === END) this.#unlink(slab, classIndex);\n",
    replacement: "",
  },
  {
    ...SLABS,
    what: "every empty slab is kept, not only one of a class",
    why: "an empty slab is soon wanted again; of the one that it replaces nobody knows any more",
    text: "    else this.#release(slab, classIndex);\n",
    replacement: "    else this.#spare[classIndex] = slab;\n",
  },
  {
    ...SLABS,
    what: "a slab that was full is not found again when it gets a block back",
    why: "its list link was dropped when it filled up",
    text: "    if (head === END) this.#link(slab, classIndex);\n",
    replacement: "",
  },
  {
    ...SLABS,
    what: "an address inside a block passes for the block",
    why: "rounding down finds a block for every address",
    text: "    if (block * (CLASS_SIZE[classIndex] as number) !== inside) return NOT_A_BLOCK;\n",
    replacement: "",
  },
  {
    ...BLOCKS,
    what: "a large block may be freed by an address on any of its page starts",
    why: "every page of it has an offset that divides by the page size",
    text: "if (kind === PAGE_LARGE && offset === page * PAGE_SIZE)",
    replacement: "if (kind === PAGE_LARGE)",
  },
  {
    ...BLOCKS,
    what: "large alignments forget where the heap starts",
    why: "offsets are aligned, addresses are what was asked for",
    text: "(alignPages - (this.#firstPage % alignPages)) % alignPages",
    replacement: "0",
  },
  {
    ...BLOCKS,
    what: "a large block that shrinks keeps its old length in pages",
    why: "the pages behind it are free, and freed once more with it",
    text: "    this.pages.lengths[first] = after;\n",
    replacement: "",
  },
  {
    package: "memory",
    file: "src/allocator/size-classes.ts",
    tests: ["src/allocator/size-classes.test.ts", MODEL],
    what: "alignments above the class's own are not looked for",
    why: "most classes divide by 64, so most requests come out right",
    text: "  while (((CLASS_SIZE[index] as number) & (alignment - 1)) !== 0) index++;\n",
    replacement: "",
  },
  {
    ...HEAP,
    what: "a block that a DmaBuffer holds may be freed by its address",
    why: "the address is all that free has, and it is right",
    text: "    if (this.#blocks.holder(handle) !== holder) throw held(address, this.#blocks.holder(handle));\n    return handle;",
    replacement: "    return handle;",
  },
  {
    ...HEAP,
    what: "a block that moves takes its new length along in bytes to copy",
    why: "it reads beyond the old block, when the new one is longer",
    text: "Math.min(before, length)",
    replacement: "length",
  },
  {
    ...HEAP,
    what: "bytes in use are not given back",
    why: "the counter is for reports only",
    text: "    this.#bytesInUse -= this.#blocks.length(handle);\n",
    replacement: "",
  },
  {
    ...HEAP,
    what: "a block that was asked to be zero is not",
    why: "fresh memory is zero, so tests of a fresh heap pass",
    text: "    this.memory.fill(address, length);\n",
    replacement: "",
  },
  {
    package: "memory",
    file: "src/allocator/remote-heap.ts",
    tests: REMOTE,
    what: "a block that another core frees is pushed without looking whether the head has moved",
    why: "a store instead of a compare-exchange is right as long as one core frees at a time",
    text: "if (seen === head) return;",
    replacement: "if (seen === head || seen !== head) return;",
  },
  {
    package: "memory",
    file: "src/allocator/incoming-frees.ts",
    tests: REMOTE,
    what: "a remote free is believed although nothing is in use there",
    why: "honest cores free what they got; a block freed twice is freed twice",
    text: "      if (handle < 0 || left === 0) {",
    replacement: "      if (left === 0) {",
  },
  {
    package: "memory",
    file: "src/allocator/incoming-frees.ts",
    tests: REMOTE,
    what: "another core may free a block that a DmaBuffer holds",
    why: "the address is a block in use; who holds it is one look more",
    text: "      if (blocks.holder(handle) !== HELD_BY_ADDRESS) {\n        this.#note(held(address, blocks.holder(handle)));\n        continue;\n      }\n",
    replacement: "",
  },
];
