/*
 * Runs the C reference: one line in, one figure out (nanoseconds per chain).
 *
 *     single BATCH SEGMENTS direct|indirect OPERATIONS
 *     threads DEPTH OPERATIONS
 *
 * ring-load.ts does the same to the queues of @toril/virtqueue.
 */
#include "ring.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUE_SIZE = 256, MEMORY_BYTES = 32 << 20, RINGS = 4096, TABLES = 64 << 10, BUFFERS = 1 << 20 };
enum { THREAD_BATCH = 16, FRUITLESS_LOOKS = 20000, NAP_NANOSECONDS = 100000 };

static struct region region;
static struct memory memory;
static const struct layout layout = {QUEUE_SIZE, RINGS, RINGS + 16 * QUEUE_SIZE, RINGS + 16 * QUEUE_SIZE + 6 + 2 * QUEUE_SIZE + 2};

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "ring-bench: %s\n", what);
  exit(1);
}

static void lend(struct driver *d, uint32_t segments, uint32_t i, uint64_t token) {
  if (segments == 1) {
    if (!driver_lend_writable(d, BUFFERS + (uint64_t)i * 65536, 4096, token)) fail("the ring is full");
    return;
  }
  if (!driver_begin(d, segments)) fail("the ring is full");
  for (uint32_t s = 1; s < segments; s++) driver_add_readable(d, BUFFERS + (uint64_t)s * 4096, 64);
  driver_add_writable(d, BUFFERS + (uint64_t)i * 65536, 4096);
  driver_end(d, token);
}

static double single(uint32_t batch, uint32_t segments, bool indirect, uint32_t operations) {
  struct driver *driver = driver_create(&memory, &layout, true, TABLES, indirect ? segments : 0);
  struct device *device = device_create(&memory, &layout, true, indirect);
  struct chain *chain = device_create_chain(device);
  uint32_t notifications = 0;
  uint64_t bytes = 0;
  double start = nanoseconds();
  for (uint32_t done = 0; done < operations; done += batch) {
    for (uint32_t i = 0; i < batch; i++) lend(driver, segments, i, done + i + 1);
    if (driver_publish(driver)) notifications++;
    while (device_next(device, chain)) device_complete(device, chain->head, chain_length(chain, chain->count - 1));
    if (device_publish(device)) notifications++;
    for (uint32_t i = 0; driver_poll(driver) != 0; i++) bytes += driver_used_length(driver);
  }
  double elapsed = nanoseconds() - start;
  if (bytes != (uint64_t)operations * 4096) fail("bytes are missing");
  if (notifications > 2 + 2 * operations / 65536) fail("unasked notifications");
  return elapsed / operations;
}

/* What a side does that found nothing: it looks again; after many fruitless looks it naps, for the other may want the core. */
static void wait_a_little(uint32_t *fruitless) {
  if (++*fruitless < FRUITLESS_LOOKS) return;
  *fruitless = 0;
  nanosleep(&(struct timespec){0, NAP_NANOSECONDS}, NULL);
}

struct device_work {
  struct device *device;
  uint32_t operations;
};

static void *serve(void *argument) {
  struct device_work *work = argument;
  struct device *device = work->device;
  struct chain *chain = device_create_chain(device);
  uint32_t fruitless = 0;
  for (uint32_t served = 0; served < work->operations;) {
    uint32_t taken = 0;
    while (taken < THREAD_BATCH && device_next(device, chain)) {
      device_complete(device, chain->head, chain_length(chain, chain->count - 1));
      taken++;
    }
    if (taken == 0) {
      if (device_violation(device) != NULL) fail(device_violation(device));
      wait_a_little(&fruitless);
      continue;
    }
    fruitless = 0;
    served += taken;
    device_publish(device);
  }
  return NULL;
}

static double threads(uint32_t depth, uint32_t operations) {
  struct driver *driver = driver_create(&memory, &layout, true, TABLES, 0);
  struct device_work work = {device_create(&memory, &layout, true, false), operations};
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, &work) != 0) fail("no thread");
  uint32_t sent = 0, returned = 0, fruitless = 0;
  double start = nanoseconds();
  while (returned < operations) {
    uint32_t lent = 0, collected = 0;
    while (lent < THREAD_BATCH && sent < operations && sent - returned < depth) {
      lend(driver, 1, sent & (QUEUE_SIZE - 1), sent + 1);
      sent++;
      lent++;
    }
    if (lent > 0) driver_publish(driver);
    while (collected < THREAD_BATCH && driver_poll(driver) != 0) collected++;
    returned += collected;
    if (lent + collected > 0) {
      fruitless = 0;
    } else {
      if (driver_violation(driver) != NULL) fail(driver_violation(driver));
      wait_a_little(&fruitless);
    }
  }
  double elapsed = nanoseconds() - start;
  pthread_join(thread, NULL);
  return elapsed / operations;
}

int main(void) {
  region = (struct region){0, MEMORY_BYTES, aligned_alloc(65536, MEMORY_BYTES)};
  memory = (struct memory){&region, 1};
  memset(region.bytes, 0, MEMORY_BYTES);
  char line[128], tables[16];
  uint32_t first, segments, operations;
  while (fgets(line, sizeof line, stdin) != NULL) {
    double figure = 0;
    if (sscanf(line, "single %u %u %15s %u", &first, &segments, tables, &operations) == 4) {
      figure = single(first, segments, strcmp(tables, "indirect") == 0, operations);
    } else if (sscanf(line, "threads %u %u", &first, &operations) == 2) {
      figure = threads(first, operations);
    } else {
      fail("what shall be measured?");
    }
    printf("%.3f\n", figure);
    fflush(stdout);
  }
  return 0;
}
