// The limit of the bench `nbd`: a disk in memory over NBD that checks nothing, in as few system calls as there can be.
//
//   nbd-limit SOCKET BYTES
//
// A thread per connection, which sleeps in the receive itself. Structured replies, as the client asks for them and the other
// servers give them: they cost the client two more small receives a READ. Requests are parsed in batches and answered with
// one gathered send; payload goes straight between the socket and the memory, which lies in huge pages.
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  READ = 0,
  WRITE = 1,
  DISCONNECT = 2,
  FIXED_NEWSTYLE = 1,
  NO_ZEROES = 2,
  OPTION_GO = 7,
  OPTION_STRUCTURED_REPLY = 8,
  OPTION_BYTES = 64 * 1024,
  ACK = 1,
  INFO = 3,
  CHUNK_DONE = 1,
  CHUNK_DATA = 1,
  HAS_FLAGS = 1,
  SEND_FLUSH = 4,
  SEND_FUA = 8,
  MULTI_CONN = 256,
  AHEAD_BYTES = 256 * 1024,
  BATCH_REPLIES = 128,
  BATCH_BYTES = 1024 * 1024,
  // A client with one connection and large requests is met half-way, as long as that pays off: a thread that sleeps is
  // woken on its client's CPU.
  LARGE_BYTES = 64 * 1024,
  SPIN_NS = 50 * 1000,
  SPINS_LEFT_OUT_MAX = 63,
};

struct __attribute__((packed)) request {
  uint32_t magic;
  uint16_t flags, type;
  uint64_t cookie, offset;
  uint32_t length;
};

// A simple reply ends with the cookie; a chunk of data goes on.
struct __attribute__((packed)) reply {
  uint32_t magic;
  union {
    uint32_t error;
    struct {
      uint16_t flags, type;
    };
  };
  uint64_t cookie;
  uint32_t length;
  uint64_t offset;
};

struct __attribute__((packed)) greeting {
  uint64_t magic, options;
  uint16_t flags;
};

struct __attribute__((packed)) option {
  uint64_t magic;
  uint32_t option, length;
};

// An answer to an option, which may go on with what the export is.
struct __attribute__((packed)) answer {
  uint64_t magic;
  uint32_t option, type, length;
  uint16_t info;
  uint64_t size;
  uint16_t flags;
};

struct connection {
  int fd;
  uint8_t buffer[AHEAD_BYTES];
  size_t head, tail;
  struct reply replies[BATCH_REPLIES];
  struct iovec pieces[2 * BATCH_REPLIES];
  int reply_count, piece_count;
  size_t bytes;
  int large;
  int sleeps_at_once, spin_penalty;
};

static const uint32_t UNSUPPORTED = 0x80000001;
static uint8_t *disk;
static uint64_t disk_bytes;
static atomic_int connections;

static _Noreturn void leave(struct connection *c) {
  close(c->fd);
  free(c);
  connections--;
  pthread_exit(NULL);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static size_t receive(struct connection *c, struct iovec *pieces, int count) {
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
  ssize_t got = -1;
  errno = EAGAIN;
  if (c->large && connections == 1 && c->sleeps_at_once-- <= 0) {
    int64_t until = now_ns() + SPIN_NS;
    do {
      got = recvmsg(c->fd, &message, MSG_DONTWAIT);
    } while (got < 0 && errno == EAGAIN && now_ns() < until);
    c->spin_penalty = got >= 0 ? 0 : 2 * c->spin_penalty + 1;
    if (c->spin_penalty > SPINS_LEFT_OUT_MAX) c->spin_penalty = SPINS_LEFT_OUT_MAX;
    c->sleeps_at_once = c->spin_penalty;
  }
  if (got < 0 && errno == EAGAIN) got = recvmsg(c->fd, &message, 0);
  if (got <= 0) leave(c);
  return got;
}

static void send_replies(struct connection *c) {
  struct iovec *piece = c->pieces;
  int count = c->piece_count;
  while (count > 0) {
    struct msghdr message = {.msg_iov = piece, .msg_iovlen = count};
    ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (sent < 0) leave(c);
    for (; count > 0 && (size_t)sent >= piece->iov_len; count--) sent -= (piece++)->iov_len;
    if (count > 0) *piece = (struct iovec){(char *)piece->iov_base + sent, piece->iov_len - sent};
  }
  c->reply_count = c->piece_count = 0;
  c->bytes = 0;
}

// What of the payload was read ahead is copied; the rest is received in its place, and the next header behind it.
static void receive_payload(struct connection *c, uint8_t *place, size_t length) {
  size_t have = c->tail - c->head < length ? c->tail - c->head : length;
  memcpy(place, c->buffer + c->head, have);
  c->head += have;
  if (have < length && c->piece_count > 0) send_replies(c);
  while (have < length) {
    struct iovec pieces[2] = {{place + have, length - have},
                              {c->buffer, c->large ? sizeof(struct request) : sizeof c->buffer}};
    size_t got = receive(c, pieces, 2);
    c->head = 0;
    c->tail = got > length - have ? got - (length - have) : 0;
    have += got - c->tail;
  }
}

static void take_request(struct connection *c) {
  struct request request;
  memcpy(&request, c->buffer + c->head, sizeof request);
  c->head += sizeof request;
  uint8_t *place = disk + be64toh(request.offset);
  size_t length = be32toh(request.length);
  int type = be16toh(request.type);
  if (type == DISCONNECT) leave(c);
  c->large = length >= LARGE_BYTES;
  if (type == WRITE) receive_payload(c, place, length);
  struct reply *reply = &c->replies[c->reply_count++];
  size_t reply_bytes = sizeof *reply;
  if (type == READ) {
    *reply = (struct reply){.magic = htobe32(0x668e33ef),
                            .flags = htobe16(CHUNK_DONE),
                            .type = htobe16(CHUNK_DATA),
                            .cookie = request.cookie,
                            .length = htobe32(sizeof reply->offset + length),
                            .offset = request.offset};
  } else {
    *reply = (struct reply){.magic = htobe32(0x67446698), .cookie = request.cookie};
    reply_bytes = offsetof(struct reply, length);
  }
  c->pieces[c->piece_count++] = (struct iovec){reply, reply_bytes};
  if (type == READ) {
    c->pieces[c->piece_count++] = (struct iovec){place, length};
    c->bytes += length;
  }
  if (c->reply_count == BATCH_REPLIES || c->bytes >= BATCH_BYTES) send_replies(c);
}

static void take(struct connection *c, void *bytes, size_t length) {
  if (length > 0 && recv(c->fd, bytes, length, MSG_WAITALL) != (ssize_t)length) leave(c);
}

static void give(struct connection *c, const void *bytes, size_t length) {
  if (send(c->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) leave(c);
}

// As much as libnbd needs: structured replies, and the one export by any name.
static void shake_hands(struct connection *c) {
  struct greeting greeting = {htobe64(0x4e42444d41474943), htobe64(0x49484156454f5054),
                              htobe16(FIXED_NEWSTYLE | NO_ZEROES)};
  give(c, &greeting, sizeof greeting);
  uint32_t flags;
  take(c, &flags, sizeof flags);
  uint32_t wanted;
  do {
    struct option option;
    take(c, &option, sizeof option);
    if (be32toh(option.length) > OPTION_BYTES) leave(c);
    take(c, c->buffer, be32toh(option.length));
    wanted = be32toh(option.option);
    struct answer answer = {.magic = htobe64(0x3e889045565a9), .option = option.option};
    size_t short_bytes = offsetof(struct answer, info);
    if (wanted == OPTION_GO) {
      answer.type = htobe32(INFO);
      answer.length = htobe32(sizeof answer - short_bytes);
      answer.size = htobe64(disk_bytes);
      answer.flags = htobe16(HAS_FLAGS | SEND_FLUSH | SEND_FUA | MULTI_CONN);
      give(c, &answer, sizeof answer);
      answer.length = 0;
    }
    int known = wanted == OPTION_GO || wanted == OPTION_STRUCTURED_REPLY;
    answer.type = htobe32(known ? ACK : UNSUPPORTED);
    give(c, &answer, short_bytes);
  } while (wanted != OPTION_GO);
}

static _Noreturn void *serve(void *argument) {
  struct connection *c = argument;
  shake_hands(c);
  while (1) {
    while (c->tail - c->head >= sizeof(struct request)) take_request(c);
    if (c->piece_count > 0) send_replies(c);
    memmove(c->buffer, c->buffer + c->head, c->tail - c->head);
    c->tail -= c->head;
    c->head = 0;
    struct iovec rest = {c->buffer + c->tail, sizeof c->buffer - c->tail};
    c->tail += receive(c, &rest, 1);
  }
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: nbd-limit SOCKET BYTES\n"), 2;
  disk_bytes = strtoull(arguments[2], NULL, 10);
  disk = mmap(NULL, disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (disk == MAP_FAILED) return perror("mmap"), 1;
  madvise(disk, disk_bytes, MADV_HUGEPAGE);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, arguments[1], sizeof address.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
    return perror(arguments[1]), 1;
  }
  while (1) {
    struct connection *c = calloc(1, sizeof *c);
    c->fd = accept(listener, NULL, NULL);
    if (c->fd < 0) return perror("accept"), 1;
    connections++;
    pthread_t thread;
    pthread_create(&thread, NULL, serve, c);
    pthread_detach(thread);
  }
}
