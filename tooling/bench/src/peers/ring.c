/* See ring.h. Compiled with gcc -O2, apart from the program that calls it. */
#include "ring.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, DO_NOT_NOTIFY = 1 };
#define MAX_CHAIN_BYTES 0x100000000ull
#define MAX_TABLE_DESCRIPTORS 0x10000u
#define COLD __attribute__((cold, noinline))

/* The indices and events that two threads share: sequentially consistent, as JavaScript's Atomics are. */
typedef _Atomic uint16_t shared16;
struct used_element {
  uint32_t id, length;
};

static uint16_t distance(uint16_t from, uint16_t to) { return (uint16_t)(to - from); }
static bool passes_event(uint16_t event, uint16_t now, uint16_t before) {
  return distance((uint16_t)(event + 1), now) < distance(before, now);
}

COLD static void bug(const char *what) {
  fprintf(stderr, "wrong use of a ring: %s\n", what);
  abort();
}

/* Guest memory, and the region that the last buffer was in. */
struct region_cache {
  const struct memory *memory;
  uint64_t base, size;
};

static const struct region *locate(const struct memory *memory, uint64_t address, uint64_t length) {
  for (unsigned i = 0; i < memory->count; i++) {
    const struct region *r = &memory->regions[i];
    if (address >= r->base && length <= r->size && address - r->base <= r->size - length) return r;
  }
  return NULL;
}

COLD static bool search(struct region_cache *cache, uint64_t address, uint64_t length) {
  const struct region *r = locate(cache->memory, address, length);
  if (r == NULL) return false;
  cache->base = r->base;
  cache->size = r->size;
  return true;
}

static inline bool holds(struct region_cache *cache, uint64_t address, uint64_t length) {
  uint64_t offset = address - cache->base;
  if (address >= cache->base && offset <= cache->size && length <= cache->size - offset) return true;
  return search(cache, address, length);
}

static void *area(const struct memory *memory, uint64_t address, uint64_t bytes, uint64_t alignment) {
  const struct region *r = locate(memory, address, bytes);
  if (r == NULL || address % alignment != 0) bug("a ring area is not in guest memory, or misaligned");
  return r->bytes + (address - r->base);
}

/* ---- the driver's side ---- */

/* What the driver remembers of a descriptor: it never reads its own descriptors back. */
struct slot {
  uint32_t next;        /* next free descriptor, or next of its chain */
  uint32_t held;        /* descriptors of the chain that starts here; 0: none in flight */
  uint32_t last;        /* the chain's last descriptor */
  uint32_t writable;    /* bytes that the device may write */
  uint32_t publication; /* the publication that shows the chain to the device */
  uint64_t token;
};

enum { NO_CHAIN = -1, DIRECT = -1 };

struct driver {
  uint32_t size, mask;
  bool event_idx;
  struct descriptor *table;
  uint16_t *available_entries;
  shared16 *available_index, *used_index, *used_flags, *avail_event;
  struct used_element *used_elements;
  struct descriptor *tables;
  uint64_t tables_base;
  uint32_t max_segments;
  struct region_cache regions;
  struct slot *slots;
  uint32_t first_free, free, publication;
  /* the chain that is being built */
  uint32_t segments, next_slot, last_slot;
  int32_t remaining, filled;
  uint64_t bytes, writable_bytes;
  uint16_t next_available, published_available, next_used, seen_used;
  uint32_t used_length;
  const char *violation;
};

struct driver *driver_create(const struct memory *memory, const struct layout *layout, bool event_idx, uint64_t tables,
                             uint32_t max_segments) {
  struct driver *d = calloc(1, sizeof *d);
  uint32_t size = layout->size;
  d->size = size;
  d->mask = size - 1;
  d->event_idx = event_idx;
  d->table = area(memory, layout->table, 16ull * size, 16);
  uint8_t *available = area(memory, layout->available, 6 + 2ull * size, 2);
  uint8_t *used = area(memory, layout->used, 6 + 8ull * size, 4);
  d->available_index = (shared16 *)(available + 2);
  d->available_entries = (uint16_t *)(available + 4);
  d->used_flags = (shared16 *)used;
  d->used_index = (shared16 *)(used + 2);
  d->used_elements = (struct used_element *)(used + 4);
  d->avail_event = (shared16 *)(used + 4 + 8ull * size);
  memset(d->table, 0, 16ull * size);
  memset(available, 0, 6 + 2ull * size);
  memset(used, 0, 6 + 8ull * size);
  if (max_segments > 0) d->tables = area(memory, tables, 16ull * size * max_segments, 16);
  d->tables_base = tables;
  d->max_segments = max_segments;
  d->regions = (struct region_cache){memory, memory->regions[0].base, memory->regions[0].size};
  d->slots = calloc(size, sizeof *d->slots);
  for (uint32_t i = 0; i < size; i++) d->slots[i].next = i + 1;
  d->free = size;
  d->publication = 1;
  d->remaining = NO_CHAIN;
  d->filled = DIRECT;
  return d;
}

static inline void write_descriptor(struct descriptor *at, uint64_t address, uint32_t length, uint32_t flags,
                                    uint32_t next) {
  at->address = address;
  at->length = length;
  at->link = flags | next << 16;
}

/* Takes the first `held` free descriptors, up to `last`, for a chain, and makes its head available. */
static inline void take(struct driver *d, uint32_t head, uint32_t held, uint32_t last, uint64_t writable,
                        uint64_t token) {
  struct slot *slot = &d->slots[head];
  d->first_free = d->slots[last].next;
  d->free -= held;
  slot->held = held;
  slot->last = last;
  slot->writable = writable > 0xffffffffu ? 0xffffffffu : (uint32_t)writable;
  slot->publication = d->publication;
  slot->token = token;
  d->available_entries[d->next_available & d->mask] = (uint16_t)head;
  d->next_available++;
}

static inline bool lend(struct driver *d, uint64_t address, uint64_t length, uint32_t flags, uint64_t token) {
  if (d->remaining != NO_CHAIN) bug("a chain is open");
  if (length < 1 || length > 0xffffffffu || !holds(&d->regions, address, length)) bug("this buffer cannot be lent");
  if (token == 0) bug("a token is 0");
  if (d->free == 0 || d->violation != NULL) return false;
  uint32_t head = d->first_free;
  write_descriptor(&d->table[head], address, (uint32_t)length, flags, 0);
  take(d, head, 1, head, flags == WRITE ? length : 0, token);
  return true;
}

bool driver_lend_readable(struct driver *d, uint64_t address, uint64_t length, uint64_t token) {
  return lend(d, address, length, 0, token);
}

bool driver_lend_writable(struct driver *d, uint64_t address, uint64_t length, uint64_t token) {
  return lend(d, address, length, WRITE, token);
}

bool driver_begin(struct driver *d, uint32_t segments) {
  if (d->remaining != NO_CHAIN) bug("a chain was begun before the one before it was ended");
  if (segments < 1 || segments > d->size) bug("a chain has 1 segment to the size of the queue");
  if (d->violation != NULL) return false;
  if (segments > 1 && segments <= d->max_segments) {
    if (d->free == 0) return false;
    d->filled = 0;
  } else {
    if (d->free < segments) return false;
    d->filled = DIRECT;
    d->next_slot = d->first_free;
  }
  d->segments = segments;
  d->remaining = (int32_t)segments;
  d->bytes = 0;
  d->writable_bytes = 0;
  return true;
}

static inline void add(struct driver *d, uint64_t address, uint64_t length, uint32_t flags) {
  int32_t remaining = d->remaining - 1;
  if (remaining < 0) bug("no chain is open, or it has all its segments");
  if (length < 1 || length > 0xffffffffu || !holds(&d->regions, address, length)) bug("this buffer cannot be lent");
  d->bytes += length;
  if (d->bytes > MAX_CHAIN_BYTES) bug("a chain of more than 2^32 bytes");
  d->remaining = remaining;
  if (d->filled == DIRECT) {
    uint32_t slot = d->next_slot;
    uint32_t next = d->slots[slot].next;
    if (remaining == 0) write_descriptor(&d->table[slot], address, (uint32_t)length, flags, 0);
    else write_descriptor(&d->table[slot], address, (uint32_t)length, flags | NEXT, next);
    d->last_slot = slot;
    d->next_slot = next;
  } else {
    uint32_t i = (uint32_t)d->filled++;
    struct descriptor *at = &d->tables[d->first_free * d->max_segments + i];
    if (remaining == 0) write_descriptor(at, address, (uint32_t)length, flags, 0);
    else write_descriptor(at, address, (uint32_t)length, flags | NEXT, i + 1);
  }
}

void driver_add_readable(struct driver *d, uint64_t address, uint64_t length) {
  if (d->writable_bytes > 0) bug("a readable buffer was added after a writable one");
  add(d, address, length, 0);
}

void driver_add_writable(struct driver *d, uint64_t address, uint64_t length) {
  add(d, address, length, WRITE);
  d->writable_bytes += length;
}

void driver_end(struct driver *d, uint64_t token) {
  if (d->remaining != 0) bug("no chain is open, or segments are missing");
  if (token == 0) bug("a token is 0");
  d->remaining = NO_CHAIN;
  uint32_t head = d->first_free;
  if (d->filled == DIRECT) {
    take(d, head, d->segments, d->last_slot, d->writable_bytes, token);
  } else {
    uint64_t table = d->tables_base + 16ull * head * d->max_segments;
    write_descriptor(&d->table[head], table, 16 * d->segments, INDIRECT, 0);
    take(d, head, 1, head, d->writable_bytes, token);
  }
}

COLD static void count_publications_anew(struct driver *d) {
  for (uint32_t i = 0; i < d->size; i++) d->slots[i].publication = 0;
  d->publication = 1;
}

bool driver_publish(struct driver *d) {
  uint16_t before = d->published_available, now = d->next_available;
  if (now == before || d->violation != NULL) return false;
  atomic_store(d->available_index, now);
  d->published_available = now;
  if (++d->publication > 0x3fffffff) count_publications_anew(d);
  if (d->event_idx) return passes_event(atomic_load(d->avail_event), now, before);
  return (atomic_load(d->used_flags) & DO_NOT_NOTIFY) == 0;
}

COLD static uint64_t driver_break(struct driver *d, const char *violation) {
  d->violation = violation;
  d->seen_used = d->next_used;
  return 0;
}

/* How far the device has come: one atomic load per drain. */
static bool driver_look(struct driver *d) {
  if (d->violation != NULL) return false;
  uint16_t index = atomic_load(d->used_index);
  uint16_t waiting = distance(d->next_used, index);
  if (waiting == 0) return false;
  if (waiting > distance(d->next_used, d->published_available)) return driver_break(d, "used-index-jump");
  d->seen_used = index;
  return true;
}

uint64_t driver_poll(struct driver *d) {
  if (d->remaining != NO_CHAIN) bug("poll between begin and end");
  uint16_t index = d->next_used;
  if (index == d->seen_used && !driver_look(d)) return 0;
  struct used_element element = d->used_elements[index & d->mask];
  if (element.id >= d->size) return driver_break(d, "used-id-out-of-range");
  struct slot *slot = &d->slots[element.id];
  if (slot->held == 0 || slot->publication == d->publication) return driver_break(d, "used-id-not-in-flight");
  if (element.length > slot->writable) return driver_break(d, "used-length-too-long");
  d->next_used = (uint16_t)(index + 1);
  d->used_length = element.length;
  uint64_t token = slot->token;
  slot->token = 0;
  d->slots[slot->last].next = d->first_free;
  d->first_free = element.id;
  d->free += slot->held;
  slot->held = 0;
  return token;
}

uint32_t driver_used_length(const struct driver *d) { return d->used_length; }
const char *driver_violation(const struct driver *d) { return d->violation; }

/* ---- the device's side ---- */

struct device {
  uint32_t size, mask;
  bool event_idx, indirect;
  const struct descriptor *table;
  const uint16_t *available_entries;
  shared16 *available_index, *available_flags, *used_event, *used_index;
  struct used_element *used_elements;
  struct region_cache regions;
  int64_t *heads; /* bytes that may be written while the chain is out, else -1 */
  uint16_t next_available, seen_available, next_used, published_used;
  const char *violation;
};

struct device *device_create(const struct memory *memory, const struct layout *layout, bool event_idx, bool indirect) {
  struct device *d = calloc(1, sizeof *d);
  uint32_t size = layout->size;
  d->size = size;
  d->mask = size - 1;
  d->event_idx = event_idx;
  d->indirect = indirect;
  d->table = area(memory, layout->table, 16ull * size, 16);
  uint8_t *available = area(memory, layout->available, 6 + 2ull * size, 2);
  uint8_t *used = area(memory, layout->used, 6 + 8ull * size, 4);
  d->available_flags = (shared16 *)available;
  d->available_index = (shared16 *)(available + 2);
  d->available_entries = (uint16_t *)(available + 4);
  d->used_event = (shared16 *)(available + 4 + 2ull * size);
  d->used_index = (shared16 *)(used + 2);
  d->used_elements = (struct used_element *)(used + 4);
  d->regions = (struct region_cache){memory, memory->regions[0].base, memory->regions[0].size};
  d->heads = malloc(size * sizeof *d->heads);
  for (uint32_t i = 0; i < size; i++) d->heads[i] = -1;
  return d;
}

struct chain *device_create_chain(const struct device *d) {
  struct chain *chain = calloc(1, sizeof *chain);
  chain->room = d->size < 64 ? d->size : 64;
  chain->segments = malloc(chain->room * sizeof *chain->segments);
  return chain;
}

COLD static void grow(struct chain *chain) {
  chain->room *= 2;
  chain->segments = realloc(chain->segments, chain->room * sizeof *chain->segments);
}

static inline void set(struct chain *chain, uint32_t i, uint64_t address, uint32_t length) {
  if (i >= chain->room) grow(chain);
  chain->segments[i] = (struct segment){address, length};
}

uint32_t chain_length(const struct chain *chain, uint32_t i) {
  if (i >= chain->count) bug("there is no such segment");
  return chain->segments[i].length;
}

/* A driver may change what it wrote: each field is read once. */
static inline struct descriptor read_once(const struct descriptor *at) {
  const volatile struct descriptor *from = at;
  return (struct descriptor){from->address, from->length, from->link};
}

static const char *walk(struct device *d, struct chain *chain, uint32_t head, struct descriptor at) {
  const struct descriptor *table = d->table;
  uint32_t entries = d->size, visited = 1, count = 0, readable_count = 0;
  uint64_t readable = 0, writable = 0;
  bool in_indirect = false;
  for (;;) {
    uint32_t index = 0;
    if (at.link & INDIRECT) {
      if (in_indirect) return "indirect-nested";
      if (!d->indirect) return "indirect-not-negotiated";
      if (at.link & NEXT) return "indirect-with-next";
      entries = at.length >> 4;
      if (at.length == 0 || (at.length & 15) != 0 || entries > MAX_TABLE_DESCRIPTORS) return "indirect-bad-table";
      const struct region *r = locate(d->regions.memory, at.address, at.length);
      if (r == NULL) return "address-out-of-range";
      table = (const struct descriptor *)(r->bytes + (at.address - r->base)); /* x86 reads it unaligned, too */
      in_indirect = true;
      visited = 0;
    } else {
      if (count >= d->size) return "chain-too-long";
      if (!holds(&d->regions, at.address, at.length)) return "address-out-of-range";
      if (at.link & WRITE) {
        writable += at.length;
      } else {
        if (count != readable_count) return "readable-after-writable";
        readable_count++;
        readable += at.length;
      }
      set(chain, count, at.address, at.length);
      count++;
      if (!(at.link & NEXT)) break;
      index = at.link >> 16;
      if (index >= entries) return "next-out-of-range";
      if (visited >= entries) return "chain-loop";
    }
    visited++;
    at = read_once(&table[index]);
  }
  if (readable + writable > MAX_CHAIN_BYTES) return "chain-over-4-gib";
  chain->head = head;
  chain->count = count;
  chain->readable_count = readable_count;
  chain->readable_bytes = readable;
  chain->writable_bytes = writable;
  return NULL;
}

static inline const char *read_chain(struct device *d, struct chain *chain, uint32_t head) {
  struct descriptor at = read_once(&d->table[head]);
  if ((at.link & (NEXT | INDIRECT)) != 0 || !holds(&d->regions, at.address, at.length)) {
    return walk(d, chain, head, at);
  }
  set(chain, 0, at.address, at.length);
  bool writable = (at.link & WRITE) != 0;
  chain->head = head;
  chain->count = 1;
  chain->readable_count = writable ? 0 : 1;
  chain->readable_bytes = writable ? 0 : at.length;
  chain->writable_bytes = writable ? at.length : 0;
  return NULL;
}

COLD static bool device_break(struct device *d, const char *violation) {
  d->violation = violation;
  d->seen_available = d->next_available;
  return false;
}

/* How far the driver has come: one atomic load per drain. */
static bool device_look(struct device *d) {
  if (d->violation != NULL) return false;
  uint16_t index = atomic_load(d->available_index);
  uint16_t waiting = distance(d->next_available, index);
  if (waiting == 0) return false;
  if (waiting > d->size - distance(d->published_used, d->next_available)) return device_break(d, "avail-index-jump");
  d->seen_available = index;
  return true;
}

bool device_next(struct device *d, struct chain *chain) {
  uint16_t index = d->next_available;
  if (index == d->seen_available && !device_look(d)) return false;
  uint32_t head = d->available_entries[index & d->mask];
  if (head >= d->size) return device_break(d, "head-out-of-range");
  if (d->heads[head] >= 0) return device_break(d, "head-in-flight");
  const char *problem = read_chain(d, chain, head);
  if (problem != NULL) return device_break(d, problem);
  d->heads[head] = (int64_t)chain->writable_bytes;
  d->next_available = (uint16_t)(index + 1);
  return true;
}

void device_complete(struct device *d, uint32_t head, uint64_t written) {
  if (head >= d->size || (int64_t)written > d->heads[head] || written > 0xffffffffu) bug("this chain cannot be completed");
  d->heads[head] = -1;
  d->used_elements[d->next_used & d->mask] = (struct used_element){head, (uint32_t)written};
  d->next_used++;
}

bool device_publish(struct device *d) {
  uint16_t before = d->published_used, now = d->next_used;
  if (now == before) return false;
  atomic_store(d->used_index, now);
  d->published_used = now;
  if (d->event_idx) return passes_event(atomic_load(d->used_event), now, before);
  return (atomic_load(d->available_flags) & DO_NOT_NOTIFY) == 0;
}

const char *device_violation(const struct device *d) { return d->violation; }
