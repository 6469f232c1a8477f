/*
 * Two rings of bytes in shared memory, one for each direction: what two processes can do at best. One copy into the ring,
 * one out of it. Built twice: as it is, a side that has to wait spins; with -DSLEEP it sleeps in a futex at once.
 */
#include "bench.h"
#include <linux/futex.h>
#include <sys/syscall.h>

/* Fits into a second-level cache; a piece is published as soon as it is there, so that both sides copy at a time. */
#define RING (256 * 1024)
#define PIECE (32 * 1024)
#define SPINS_BEFORE_YIELD (1 << 16)

struct ring {
  /* Bytes written and bytes read, free-running. Each on a cache line of its own, with whether somebody sleeps on it. */
  _Alignas(64) volatile uint32_t head;
  volatile uint32_t head_sleeper;
  _Alignas(64) volatile uint32_t tail;
  volatile uint32_t tail_sleeper;
  _Alignas(64) uint8_t bytes[RING];
};

static struct ring *rings;

static void setup(void) {
  rings = mmap(NULL, 2 * sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (rings == MAP_FAILED) die("mmap");
}

#ifndef SLEEP
/* A hint to the processor, where there is one. */
static void pause_processor(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
#endif

/* Until the word is not `seen`. */
static void wait_change(volatile uint32_t *word, volatile uint32_t *sleeper, uint32_t seen) {
#ifdef SLEEP
  __atomic_store_n(sleeper, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen) syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
  __atomic_store_n(sleeper, 0, __ATOMIC_SEQ_CST);
#else
  (void)sleeper;
  for (int spins = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) == seen;) {
    if (++spins % SPINS_BEFORE_YIELD == 0) sched_yield(); /* with one processor the other side needs it */
    pause_processor();
  }
#endif
}

static void publish(volatile uint32_t *word, volatile uint32_t *sleeper, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
#ifdef SLEEP
  if (__atomic_load_n(sleeper, __ATOMIC_SEQ_CST)) syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
#else
  (void)sleeper;
#endif
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void send_bytes(enum side self, const uint8_t *bytes, size_t length) {
  struct ring *ring = &rings[self];
  uint32_t head = ring->head;
  while (length > 0) {
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (head - tail == RING) {
      wait_change(&ring->tail, &ring->tail_sleeper, tail);
      continue;
    }
    size_t at = head % RING;
    size_t count = least(least(length, PIECE), least(RING - (head - tail), RING - at));
    memcpy(ring->bytes + at, bytes, count);
    head += (uint32_t)count;
    bytes += count;
    length -= count;
    publish(&ring->head, &ring->head_sleeper, head);
  }
}

static void recv_bytes(enum side self, uint8_t *bytes, size_t length) {
  struct ring *ring = &rings[1 - self];
  uint32_t tail = ring->tail;
  while (length > 0) {
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    if (head == tail) {
      wait_change(&ring->head, &ring->head_sleeper, head);
      continue;
    }
    size_t at = tail % RING;
    size_t count = least(least(length, PIECE), least(head - tail, RING - at));
    memcpy(bytes, ring->bytes + at, count);
    tail += (uint32_t)count;
    bytes += count;
    length -= count;
    publish(&ring->tail, &ring->tail_sleeper, tail);
  }
}
