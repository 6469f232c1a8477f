/* A pair of Unix sockets: the kernel copies in and out, and a side that has to wait sleeps. */
#include "bench.h"
#include <errno.h>
#include <sys/socket.h>

static int sockets[2];

static void setup(void) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) die("socketpair");
}

static void send_bytes(enum side self, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(sockets[self], bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) die("write");
    bytes += count;
    length -= (size_t)count;
  }
}

static void recv_bytes(enum side self, uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = read(sockets[self], bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) die("read");
    bytes += count;
    length -= (size_t)count;
  }
}
