/*
 * What the C peers have in common: two processes that send each other messages, and how that is measured. A peer defines
 * setup, send_bytes and recv_bytes; the ping end (the parent) prints doubles: milliseconds from the first to the last
 * counted message, then milliseconds of each counted message but the first. The same figures as of job.ts.
 *
 *     PEER rtt|bulk SIZE WARMUP COUNT unread|read|checked PING_CPU PONG_CPU       (a CPU of -1: any)
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum side { PING = 0, PONG = 1 };

/* Before the fork. */
static void setup(void);
/* All bytes; they wait as the peer does. */
static void send_bytes(enum side self, const uint8_t *bytes, size_t length);
static void recv_bytes(enum side self, uint8_t *bytes, size_t length);

struct job {
  int bulk;
  size_t size;
  long warmup, count;
  enum { UNREAD, READ, CHECKED } payload;
};

static volatile uint64_t sink;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

/* The words of payload.ts. */
static uint8_t byte_at(enum side from, uint32_t message, uint32_t offset) {
  uint32_t direction = from == PING ? 0x5bd1e995u : 0x27d4eb2fu;
  uint32_t mixed = ((offset / 4 + 1) * 0x85ebca6bu) ^ ((message + 1) * 0x9e3779b1u) ^ direction;
  return (uint8_t)(((mixed ^ (mixed >> 15)) * 0xc2b2ae35u) >> (8 * (offset & 3)));
}

static void fill(uint8_t *bytes, size_t length, enum side from, long message) {
  for (size_t i = 0; i < length; i++) bytes[i] = byte_at(from, (uint32_t)message, (uint32_t)i);
}

static void look(const struct job *job, const uint8_t *bytes, enum side from, long message) {
  if (job->payload == UNREAD) return;
  if (job->payload == READ) {
    uint64_t sum = 0, word;
    size_t i = 0;
    for (; i + 8 <= job->size; i += 8) {
      memcpy(&word, bytes + i, 8);
      sum ^= word;
    }
    for (; i < job->size; i++) sum ^= bytes[i];
    sink ^= sum;
    return;
  }
  for (size_t i = 0; i < job->size; i++) {
    if (bytes[i] == byte_at(from, (uint32_t)message, (uint32_t)i)) continue;
    fprintf(stderr, "byte %zu of message %ld arrived with another value\n", i, message);
    exit(1);
  }
}

static void send_message(const struct job *job, enum side self, uint8_t *out, long message) {
  if (job->payload == CHECKED) fill(out, job->size, self, message);
  send_bytes(self, out, job->size);
}

static void recv_message(const struct job *job, enum side self, uint8_t *in, long message) {
  recv_bytes(self, in, job->size);
  look(job, in, self == PING ? PONG : PING, message);
}

static void pong(const struct job *job, uint8_t *in, uint8_t *out) {
  for (long i = 0; i < job->warmup + job->count + 1; i++) {
    if (!job->bulk) recv_message(job, PONG, in, i);
    send_message(job, PONG, out, i);
  }
}

static void ping(const struct job *job, uint8_t *in, uint8_t *out) {
  double *figures = calloc((size_t)job->count + 1, sizeof *figures);
  if (figures == NULL) die("calloc");
  double first = 0, last = now_ms();
  for (long i = 0; i < job->warmup + job->count + 1; i++) {
    if (!job->bulk) send_message(job, PING, out, i);
    recv_message(job, PING, in, i);
    double now = now_ms();
    long counted = i - job->warmup;
    if (counted == 0) first = now;
    if (counted > 0) figures[counted] = now - last;
    last = now;
  }
  figures[0] = last - first;
  if (fwrite(figures, sizeof *figures, (size_t)job->count + 1, stdout) != (size_t)job->count + 1) die("fwrite");
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: %s rtt|bulk SIZE WARMUP COUNT unread|read|checked PING_CPU PONG_CPU\n", argv[0]);
    return 2;
  }
  struct job job = {
      .bulk = strcmp(argv[1], "bulk") == 0,
      .size = strtoul(argv[2], NULL, 10),
      .warmup = atol(argv[3]),
      .count = atol(argv[4]),
      .payload = strcmp(argv[5], "read") == 0 ? READ : strcmp(argv[5], "checked") == 0 ? CHECKED : UNREAD,
  };
  uint8_t *in = malloc(job.size), *out = malloc(job.size);
  if (in == NULL || out == NULL) die("malloc");
  memset(in, 0, job.size);
  setup();
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    /* A ping end that is killed takes this one along. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) return 1;
    pin(atoi(argv[7]));
    fill(out, job.size, PONG, 0);
    pong(&job, in, out);
    return 0;
  }
  pin(atoi(argv[6]));
  fill(out, job.size, PING, 0);
  ping(&job, in, out);
  int status;
  if (waitpid(child, &status, 0) < 0) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
