/*
 * The smallest vhost-user front-end that can ask a virtio-fs daemon something: a memfd, the handshake, one split ring with
 * EVENT_IDX, and FUSE's INIT, LOOKUP, OPEN, GETATTR and READ. What it reaches is what the daemon and the processor allow;
 * our own front-end is compared with it.
 *
 *   vhost-user-fs SOCKET NAME PATH
 *
 * NAME is a file in the daemon's directory, PATH the same file on the host. Each line on standard input is a job, answered
 * by one line of JSON:
 *
 *   getattr COUNT DEPTH sleep|spin     round trips, DEPTH of them under way
 *   read COUNT BYTES DEPTH sleep|spin  READs of BYTES each, into one buffer after another
 *   pread COUNT BYTES                  the same by pread(2), into the same buffers
 *   stat COUNT                         stat(2) of PATH
 *
 * "sleep" waits in read(2) of the call eventfd; "spin" looks at the used ring for up to 100 us before it does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHECK(ok, what) do { if (!(ok)) { perror(what); exit(1); } } while (0)

/* Guest memory: rings and request slots in the first MiB, then the buffers that data goes to, in turn. */
#define BUFFER_BYTES (1u << 20)
#define BUFFERS 32
#define MEMORY_BYTES ((uint64_t)BUFFER_BYTES * (BUFFERS + 1))
#define QUEUE_SIZE 128
#define MAX_DEPTH 32
#define SLOT_BYTES 1024
#define SPIN_NS 100000

struct descriptor { uint64_t address; uint32_t length; uint16_t flags, next; };
enum { NEXT = 1, WRITE = 2 };
struct used_element { uint32_t id, length; };

/* One queue, at a fixed place: descriptors, available ring, used ring. */
struct queue {
  struct descriptor *descriptors;
  _Atomic uint16_t *available, *used; /* flags, idx, ring… */
  struct used_element *used_ring;
  uint64_t base;
  int kick, call;
  uint16_t published, seen;
};

static uint8_t *memory;
static struct queue queues[2];
static int back_end;
static uint64_t next_unique = 2, node_id, handle;
static int host_file;
static const char *host_path;
static unsigned next_buffer;
static uint64_t next_offset, file_bytes;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- vhost-user messages --- */

enum {
  GET_FEATURES = 1, SET_FEATURES = 2, SET_OWNER = 3, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10, SET_VRING_KICK = 12, SET_VRING_CALL = 13, GET_PROTOCOL_FEATURES = 15, SET_PROTOCOL_FEATURES = 16,
  SET_VRING_ENABLE = 18,
};

static void tell(uint32_t request, const void *payload, uint32_t size, int fd) {
  struct { uint32_t request, flags, size; } header = {request, 1, size};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, size}};
  union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  }
  CHECK(sendmsg(back_end, &message, MSG_NOSIGNAL) == (ssize_t)(sizeof header + size), "sendmsg");
}

static uint64_t ask(uint32_t request) {
  struct __attribute__((packed)) { uint32_t request, flags, size; uint64_t value; } answer;
  tell(request, NULL, 0, -1);
  CHECK(recv(back_end, &answer, sizeof answer, MSG_WAITALL) == sizeof answer, "recv");
  return answer.value;
}

static void start_queue(unsigned index, uint64_t base) {
  struct queue *q = &queues[index];
  q->base = base;
  q->descriptors = (void *)(memory + base);
  q->available = (void *)(memory + base + 0x1000);
  q->used = (void *)(memory + base + 0x2000);
  q->used_ring = (void *)(memory + base + 0x2004);
  q->kick = eventfd(0, EFD_CLOEXEC);
  q->call = eventfd(0, EFD_CLOEXEC);
  CHECK(q->kick >= 0 && q->call >= 0, "eventfd");
  uint32_t state[2] = {index, QUEUE_SIZE}, enabled[2] = {index, 1};
  struct { uint32_t index, flags; uint64_t descriptors, used, available, log; } address = {
    index, 0, (uintptr_t)q->descriptors, (uintptr_t)q->used, (uintptr_t)q->available, 0};
  uint64_t doorbell = index;
  tell(SET_VRING_NUM, state, sizeof state, -1);
  state[1] = 0;
  tell(SET_VRING_BASE, state, sizeof state, -1);
  tell(SET_VRING_ADDR, &address, sizeof address, -1);
  tell(SET_VRING_CALL, &doorbell, sizeof doorbell, q->call);
  tell(SET_VRING_KICK, &doorbell, sizeof doorbell, q->kick);
  tell(SET_VRING_ENABLE, enabled, sizeof enabled, -1);
}

static void connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  back_end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(back_end >= 0 && connect(back_end, (void *)&address, sizeof address) == 0, path);

  int fd = memfd_create("guest", MFD_CLOEXEC);
  CHECK(fd >= 0 && ftruncate(fd, MEMORY_BYTES) == 0, "memfd");
  memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  CHECK(memory != MAP_FAILED, "mmap");

  tell(SET_OWNER, NULL, 0, -1);
  uint64_t wanted = 1ull << 32 | 1u << 30 | 1u << 29; /* VERSION_1, PROTOCOL_FEATURES, EVENT_IDX */
  uint64_t offered = ask(GET_FEATURES);
  if ((offered & wanted) != wanted) { fprintf(stderr, "the daemon offers only %#lx\n", offered); exit(1); }
  uint64_t protocol = 0;
  ask(GET_PROTOCOL_FEATURES);
  tell(SET_PROTOCOL_FEATURES, &protocol, sizeof protocol, -1);
  tell(SET_FEATURES, &wanted, sizeof wanted, -1);
  struct { uint32_t regions, padding; uint64_t guest, size, user, offset; } table = {
    1, 0, 0, MEMORY_BYTES, (uintptr_t)memory, 0};
  tell(SET_MEM_TABLE, &table, sizeof table, fd);
  start_queue(0, 0);
  start_queue(1, 0x4000);
}

/* --- the request queue --- */

static struct queue *const requests = &queues[1];
enum { HEADER_AT = 0x10000, OUT_AT = 512 };

static uint8_t *slot(unsigned i) { return memory + HEADER_AT + i * SLOT_BYTES; }

/* Puts the request in slot i on the ring: in_bytes of request, out_bytes of reply, then data where there is some. */
static void place(unsigned i, uint32_t opcode, uint64_t node, uint32_t in_bytes, uint32_t out_bytes, uint64_t data,
                  uint32_t data_bytes) {
  struct fuse_in_header *header = (void *)slot(i);
  *header = (struct fuse_in_header){.len = in_bytes, .opcode = opcode, .unique = next_unique, .nodeid = node};
  next_unique += 2;
  uint16_t d = (uint16_t)(i * 3);
  uint64_t at = HEADER_AT + i * SLOT_BYTES;
  requests->descriptors[d] = (struct descriptor){at, in_bytes, NEXT, (uint16_t)(d + 1)};
  requests->descriptors[d + 1] =
    (struct descriptor){at + OUT_AT, out_bytes, data_bytes > 0 ? WRITE | NEXT : WRITE, (uint16_t)(d + 2)};
  if (data_bytes > 0) requests->descriptors[d + 2] = (struct descriptor){data, data_bytes, WRITE, 0};
  requests->available[2 + requests->published++ % QUEUE_SIZE] = d;
}

/* Shows what was placed since `before`; rings if the daemon asked for it (2.7.7.2, 2.7.10). */
static void publish(uint16_t before) {
  struct queue *q = requests;
  atomic_store(&q->available[1], q->published);
  uint16_t wanted = atomic_load((_Atomic uint16_t *)((uint8_t *)q->used + 4 + 8 * QUEUE_SIZE));
  if ((uint16_t)(q->published - wanted - 1) >= (uint16_t)(q->published - before)) return;
  uint64_t one = 1;
  CHECK(write(q->kick, &one, 8) == 8, "kick");
}

static int ready(void) { return atomic_load(&requests->used[1]) != requests->seen; }

/* Waits until something is used. */
static void await_used(int spin) {
  struct queue *q = requests;
  if (spin) {
    for (uint64_t end = now() + SPIN_NS; now() < end;) {
      for (int i = 0; i < 64; i++) {
        if (ready()) return;
        __builtin_ia32_pause();
      }
    }
  }
  while (!ready()) {
    atomic_store(&q->available[2 + QUEUE_SIZE], q->seen); /* used_event: tell me of the next one */
    if (ready()) return;
    uint64_t count;
    CHECK(read(q->call, &count, 8) == 8, "call");
  }
}

/* The slot that was answered. */
static unsigned take(void) {
  struct queue *q = requests;
  struct used_element used = q->used_ring[q->seen++ % QUEUE_SIZE];
  unsigned i = used.id / 3;
  struct fuse_out_header *reply = (void *)(slot(i) + OUT_AT);
  if (reply->error != 0 || reply->unique != ((struct fuse_in_header *)slot(i))->unique) {
    fprintf(stderr, "request %u failed: %s\n", i, strerror(-reply->error));
    exit(1);
  }
  return i;
}

static void *answer(uint32_t opcode, uint64_t node, uint32_t in_bytes, uint32_t out_bytes) {
  uint16_t before = requests->published;
  place(0, opcode, node, in_bytes, (uint32_t)sizeof(struct fuse_out_header) + out_bytes, 0, 0);
  publish(before);
  await_used(0);
  return slot(take()) + OUT_AT + sizeof(struct fuse_out_header);
}

#define ARGUMENTS(i) ((void *)(slot(i) + sizeof(struct fuse_in_header)))

static void start_session(const char *name) {
  const uint32_t header = sizeof(struct fuse_in_header);
  *(struct fuse_init_in *)ARGUMENTS(0) = (struct fuse_init_in){
    .major = 7, .minor = 31, .max_readahead = 1 << 20, .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES};
  answer(FUSE_INIT, 0, header + 16, sizeof(struct fuse_init_out));
  strcpy(ARGUMENTS(0), name);
  struct fuse_entry_out *entry = answer(FUSE_LOOKUP, 1, header + (uint32_t)strlen(name) + 1, sizeof *entry);
  node_id = entry->nodeid;
  file_bytes = entry->attr.size;
  *(struct fuse_open_in *)ARGUMENTS(0) = (struct fuse_open_in){.flags = O_RDONLY};
  struct fuse_open_out *opened = answer(FUSE_OPEN, node_id, header + sizeof(struct fuse_open_in), sizeof *opened);
  handle = opened->fh;
}

static uint64_t next_piece(uint32_t bytes) {
  if (next_offset + bytes > file_bytes) next_offset = 0;
  uint64_t at = next_offset;
  next_offset += bytes;
  return at;
}

static void ask_again(unsigned i, uint32_t bytes) {
  const uint32_t header = sizeof(struct fuse_in_header), out = sizeof(struct fuse_out_header);
  if (bytes == 0) {
    *(struct fuse_getattr_in *)ARGUMENTS(i) = (struct fuse_getattr_in){.getattr_flags = FUSE_GETATTR_FH, .fh = handle};
    place(i, FUSE_GETATTR, node_id, header + sizeof(struct fuse_getattr_in), out + sizeof(struct fuse_attr_out), 0, 0);
    return;
  }
  *(struct fuse_read_in *)ARGUMENTS(i) = (struct fuse_read_in){.fh = handle, .offset = next_piece(bytes), .size = bytes};
  uint64_t buffer = BUFFER_BYTES * (uint64_t)(1 + next_buffer++ % BUFFERS);
  place(i, FUSE_READ, node_id, header + sizeof(struct fuse_read_in), out, buffer, bytes);
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void report(uint64_t *times, unsigned count, uint64_t took) {
  qsort(times, count, sizeof *times, by_size);
  printf("{\"p50\":%.3f,\"p99\":%.3f,\"perSecond\":%.1f}\n", (double)times[count / 2] / 1e3,
         (double)times[(uint64_t)count * 99 / 100] / 1e3, count * 1e9 / (double)took);
  fflush(stdout);
}

/* GETATTRs (bytes 0) or READs. */
static void run(unsigned count, uint32_t bytes, unsigned depth, int spin) {
  uint64_t *times = malloc(count * sizeof *times), sent_at[MAX_DEPTH];
  unsigned sent = 0, done = 0;
  uint64_t began = now();
  uint16_t before = requests->published;
  while (sent < depth && sent < count) {
    sent_at[sent] = began;
    ask_again(sent++, bytes);
  }
  publish(before);
  while (done < count) {
    await_used(spin);
    uint64_t at = now();
    before = requests->published;
    while (ready()) {
      unsigned i = take();
      times[done++] = at - sent_at[i];
      if (sent == count) continue;
      sent_at[i] = at;
      ask_again(i, bytes);
      sent++;
    }
    if (requests->published != before) publish(before);
  }
  report(times, count, now() - began);
  free(times);
}

static void run_pread(unsigned count, uint32_t bytes) {
  uint64_t *times = malloc(count * sizeof *times), began = now();
  for (unsigned i = 0; i < count; i++) {
    uint64_t start = now();
    uint8_t *buffer = memory + BUFFER_BYTES * (uint64_t)(1 + next_buffer++ % BUFFERS);
    CHECK(pread(host_file, buffer, bytes, (off_t)next_piece(bytes)) == (ssize_t)bytes, "pread");
    times[i] = now() - start;
  }
  report(times, count, now() - began);
  free(times);
}

static void run_stat(unsigned count) {
  uint64_t *times = malloc(count * sizeof *times), began = now();
  for (unsigned i = 0; i < count; i++) {
    struct stat found;
    uint64_t start = now();
    CHECK(stat(host_path, &found) == 0, "stat");
    times[i] = now() - start;
  }
  report(times, count, now() - began);
  free(times);
}

int main(int argc, char **argv) {
  if (argc != 4) { fprintf(stderr, "usage: vhost-user-fs SOCKET NAME PATH\n"); return 2; }
  host_path = argv[3];
  host_file = open(host_path, O_RDONLY | O_CLOEXEC);
  CHECK(host_file >= 0, host_path);
  connect_to(argv[1]);
  start_session(argv[2]);
  char line[128], mode[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned count, bytes, depth;
    if (sscanf(line, "getattr %u %u %15s", &count, &depth, mode) == 3 && depth <= MAX_DEPTH && count > 0) {
      run(count, 0, depth, strcmp(mode, "spin") == 0);
    } else if (sscanf(line, "read %u %u %u %15s", &count, &bytes, &depth, mode) == 4 && depth <= MAX_DEPTH &&
               count > 0 && bytes > 0 && bytes <= BUFFER_BYTES) {
      run(count, bytes, depth, strcmp(mode, "spin") == 0);
    } else if (sscanf(line, "pread %u %u", &count, &bytes) == 2 && count > 0 && bytes <= BUFFER_BYTES) {
      run_pread(count, bytes);
    } else if (sscanf(line, "stat %u", &count) == 1 && count > 0) {
      run_stat(count);
    } else {
      fprintf(stderr, "no such job: %s", line);
      return 2;
    }
  }
  return 0;
}
