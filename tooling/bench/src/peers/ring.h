/*
 * The C reference of `pnpm bench:ring`: a split virtqueue (virtio 1.3, section 2.7), both sides, with the algorithm, the
 * data structures, the checks and the barriers of packages/virtqueue. What is a thrown error there is an abort here.
 * A program sees this face and not the code behind it, as it is with a library.
 */
#ifndef RING_H
#define RING_H
#include <stdbool.h>
#include <stdint.h>

struct descriptor {
  uint64_t address;
  uint32_t length;
  uint32_t link; /* flags, and next in the upper half */
};

struct region {
  uint64_t base, size;
  uint8_t *bytes;
};

struct memory {
  const struct region *regions;
  unsigned count;
};

struct layout {
  uint32_t size;
  uint64_t table, available, used;
};

struct driver;
/* `tables`: guest address of the indirect tables; `max_segments` 0: none. */
struct driver *driver_create(const struct memory *, const struct layout *, bool event_idx, uint64_t tables,
                             uint32_t max_segments);
/* A chain of one buffer in one call; false: no room, or the queue is broken. A token is not 0. */
bool driver_lend_readable(struct driver *, uint64_t address, uint64_t length, uint64_t token);
bool driver_lend_writable(struct driver *, uint64_t address, uint64_t length, uint64_t token);
bool driver_begin(struct driver *, uint32_t segments);
void driver_add_readable(struct driver *, uint64_t address, uint64_t length);
void driver_add_writable(struct driver *, uint64_t address, uint64_t length);
void driver_end(struct driver *, uint64_t token);
/* true: notify the device. */
bool driver_publish(struct driver *);
/* 0: none. */
uint64_t driver_poll(struct driver *);
uint32_t driver_used_length(const struct driver *);
const char *driver_violation(const struct driver *);

struct segment {
  uint64_t address;
  uint32_t length;
};

struct chain {
  uint32_t head, count, readable_count;
  uint64_t readable_bytes, writable_bytes;
  uint32_t room;
  struct segment *segments;
};

struct device;
struct device *device_create(const struct memory *, const struct layout *, bool event_idx, bool indirect);
struct chain *device_create_chain(const struct device *);
bool device_next(struct device *, struct chain *);
void device_complete(struct device *, uint32_t head, uint64_t written);
/* true: interrupt the driver. */
bool device_publish(struct device *);
const char *device_violation(const struct device *);
uint32_t chain_length(const struct chain *, uint32_t i);

#endif
