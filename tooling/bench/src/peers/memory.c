/*
 * C's malloc for `pnpm bench:memory`: one line in, one figure out. memory-load.ts does the same to a Heap.
 *
 *     pairs LENGTH OPERATIONS      nanoseconds per malloc and free, one block at a time
 *     batches LENGTH OPERATIONS    the same, 1000 blocks, then all back in the order they came
 *     mixed OPERATIONS             the same, replacing 2000 blocks of random lengths at random
 *     held OPERATIONS              bytes held per byte in use after so many replacements
 *     survivors LENGTH             bytes held per byte in use when 1 in 100 of 32 MiB of blocks is not freed
 *     copy BYTES OPERATIONS        nanoseconds per memcpy;  fill BYTES OPERATIONS: per memset
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000, LIVE = 2000, PLANS = 1 << 16 };

static uint32_t plan_slot[PLANS], plan_length[PLANS];

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "memory: %s\n", what);
  exit(1);
}

/* Keeps the compiler from leaving the pair out. */
static void *take(size_t length) {
  void *block = malloc(length);
  if (block == NULL) fail("no memory");
  __asm__ volatile("" : : "r"(block) : "memory");
  return block;
}

static uint32_t state = 1;
static uint32_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

/* Lengths spread evenly over the powers of two from 16 bytes to 256 KiB. */
static void make_plan(void) {
  for (uint32_t i = 0; i < PLANS; i++) {
    plan_slot[i] = next_random() % LIVE;
    uint32_t power = 4 + next_random() % 14;
    plan_length[i] = (1u << power) + (next_random() & ((1u << power) - 1));
  }
}

static double pairs(size_t length, uint32_t operations) {
  double start = nanoseconds();
  for (uint32_t i = 0; i < operations; i++) free(take(length));
  return (nanoseconds() - start) / operations;
}

static double batches(size_t length, uint32_t operations) {
  static void *blocks[BATCH];
  double start = nanoseconds();
  for (uint32_t i = 0; i < operations; i += BATCH) {
    for (uint32_t j = 0; j < BATCH; j++) blocks[j] = take(length);
    for (uint32_t j = 0; j < BATCH; j++) free(blocks[j]);
  }
  return (nanoseconds() - start) / operations;
}

static double mixed(uint32_t operations, double *held) {
  static void *blocks[LIVE];
  static uint32_t lengths[LIVE];
  double start = nanoseconds();
  for (uint32_t i = 0; i < operations; i++) {
    uint32_t slot = plan_slot[i & (PLANS - 1)], length = plan_length[(i + (i >> 16)) & (PLANS - 1)];
    free(blocks[slot]);
    blocks[slot] = take(length);
    lengths[slot] = length;
  }
  double elapsed = nanoseconds() - start;
  double in_use = 0;
  for (uint32_t i = 0; i < LIVE; i++) in_use += lengths[i];
  struct mallinfo2 info = mallinfo2();
  *held = ((double)info.arena + (double)info.hblkhd) / in_use;
  for (uint32_t i = 0; i < LIVE; i++) {
    free(blocks[i]);
    blocks[i] = NULL;
  }
  return elapsed / operations;
}

static double resident_bytes(void) {
  unsigned long total, resident;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2) fail("no /proc/self/statm");
  fclose(file);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double survivors(size_t length) {
  size_t count = (32u << 20) / length;
  char **blocks = calloc(count, sizeof *blocks);
  memset(blocks, 1, count * sizeof *blocks);
  malloc_trim(0);
  double before = resident_bytes(), in_use = 0;
  for (size_t i = 0; i < count; i++) memset(blocks[i] = take(length), 1, length);
  for (size_t i = 0; i < count; i++) {
    if (next_random() % 100 == 0) {
      in_use += (double)length;
    } else {
      free(blocks[i]);
      blocks[i] = NULL;
    }
  }
  malloc_trim(0);
  double held = resident_bytes() - before;
  for (size_t i = 0; i < count; i++) free(blocks[i]);
  free(blocks);
  return held / in_use;
}

static char from[1 << 20], to[1 << 20];

static double copy(size_t bytes, uint32_t operations, int fill) {
  double start = nanoseconds();
  for (uint32_t i = 0; i < operations; i++) {
    if (fill) memset(to, (int)i, bytes);
    else memcpy(to, from, bytes);
    __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
  }
  return (nanoseconds() - start) / operations;
}

int main(void) {
  memset(from, 1, sizeof from);
  char line[128];
  uint32_t length, operations;
  make_plan();
  while (fgets(line, sizeof line, stdin) != NULL) {
    double figure = 0, held = 0;
    if (sscanf(line, "pairs %u %u", &length, &operations) == 2) {
      figure = pairs(length, operations);
    } else if (sscanf(line, "batches %u %u", &length, &operations) == 2) {
      figure = batches(length, operations);
    } else if (sscanf(line, "mixed %u", &operations) == 1) {
      figure = mixed(operations, &held);
    } else if (sscanf(line, "held %u", &operations) == 1) {
      mixed(operations, &held);
      figure = held;
    } else if (sscanf(line, "survivors %u", &length) == 1) {
      figure = survivors(length);
    } else if (sscanf(line, "copy %u %u", &length, &operations) == 2) {
      figure = copy(length, operations, 0);
    } else if (sscanf(line, "fill %u %u", &length, &operations) == 2) {
      figure = copy(length, operations, 1);
    } else {
      fail("what shall be measured?");
    }
    printf("%.4f\n", figure);
    fflush(stdout);
  }
  return 0;
}
