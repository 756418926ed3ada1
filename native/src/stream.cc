// Stream sockets that a thread serves by itself: bytes go straight between a socket and an arena.
//
// Nothing here blocks. What a peer can cause is a result, not an exception: kWouldBlock, kGone.
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "arena.h"
#include "arguments.h"
#include "modules.h"
#include "patience.h"

namespace pinfold {

namespace {

constexpr double kWouldBlock = -1;  // the same numbers in native/stream.ts
constexpr double kGone = -2;
constexpr int kMaxPieces = 512;      // of one sendmsg; Linux takes 1024
constexpr int kMaxReceivePieces = 256;  // of one recvmsg
constexpr uint64_t kMaxRanges = 258;    // of one receive: kMaxReceiveBytes of pages that begin inside of one
constexpr uint64_t kPageBytes = 4096;   // the same number in native/arena.ts
constexpr uint64_t kMaxReceiveBytes = 1024 * 1024;  // after which others get their turn
constexpr int64_t kHurryBytes = 64 * 1024;
constexpr uint64_t kMaxBegunBytes = 512;  // longer units stay in the socket until they are whole
// Each look takes the client's CPU a little time, and this one that much.
constexpr int64_t kUnreadPauseNs = 5000;
constexpr size_t kTripleNumbers = 3;
constexpr uint64_t kBuffer = 0;  // places of triples
constexpr uint64_t kArena = 1;
constexpr uint64_t kZeroes = 2;

// Never written: the host has one page for all of it.
uint8_t zeroes[64 * 1024];

std::string ShowFd(int fd) { return "fd " + std::to_string(fd); }

bool IsGone(int error) {
  return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT || error == ECONNABORTED || error == ENOTCONN ||
         error == EHOSTUNREACH || error == ENETDOWN;
}

// How many of `wanted` bytes at `at` may land in the arena now: all, or what is there up to a boundary of units, so that
// a unit changes as a whole.
uint64_t WholeUnits(uint64_t at, uint64_t wanted, uint64_t available, uint64_t unit) {
  if (available >= wanted) return wanted;
  uint64_t end = (at + available) / unit * unit;
  return end > at ? end - at : 0;
}

// A range of the arena, or several that are filled one after the other.
class Target {
 public:
  Target(const Arena& arena, uint64_t at, uint64_t length) : arena_(arena), at_(at), length_(length) {}

  // Bytes `from` to below `until` of what the pages make up in their order, or as much of it as one receive takes. Other
  // threads could change the pages, so each is read once. False if one does not lie in the arena.
  bool Set(std::span<const uint32_t> pages, uint64_t from, uint64_t until) {
    while (from < until) {
      uint64_t within = from % kPageBytes;
      uint64_t at = uint64_t{pages[from / kPageBytes]} * kPageBytes + within;
      uint64_t length = std::min(kPageBytes - within, until - from);
      if (!arena_.Contains(at, length)) return false;
      if (count_ > 0 && ranges_[count_ - 1].at + ranges_[count_ - 1].length == at) {
        ranges_[count_ - 1].length += length;
      } else if (count_ < kMaxRanges) {
        ranges_[count_++] = {at, length};
      } else {
        break;
      }
      length_ += length;
      from += length;
    }
    at_ = count_ > 0 ? ranges_[0].at : 0;
    return true;
  }

  uint64_t at() const { return at_; }
  uint64_t length() const { return length_; }

  // Fills vec with the pieces from byte `from` to below `until`, as many as fit. Returns their number; *end is where they end.
  int Gather(uint64_t from, uint64_t until, iovec* vec, int max, uint64_t* end) const {
    if (count_ == 0) return GatherRange(at_, from, until, vec, max, end);
    int filled = 0;
    uint64_t start = 0;
    *end = from;
    for (uint64_t index = 0; index < count_ && *end < until && filled < max; index++) {
      const Range& range = ranges_[index];
      if (start + range.length > *end) {
        uint64_t stop = std::min(start + range.length, until);
        filled += GatherRange(range.at - start, *end, stop, vec + filled, max - filled, end);
      }
      start += range.length;
    }
    return filled;
  }

 private:
  struct Range {
    uint64_t at;
    uint64_t length;
  };

  // Bytes `from` to below `until` of what begins at `base`, which may be below 0 if `from` makes up for it.
  int GatherRange(uint64_t base, uint64_t from, uint64_t until, iovec* vec, int max, uint64_t* end) const {
    int filled = 0;
    while (from < until && filled < max) {
      vec[filled] = arena_.Piece(base + from, until - from);
      from += vec[filled++].iov_len;
    }
    *end = from;
    return filled;
  }

  const Arena& arena_;
  uint64_t at_;
  uint64_t length_;
  uint64_t count_ = 0;
  Range ranges_[kMaxRanges];
};

// One recvmsg, into `first`, then into bytes `done` to below `until` of the target, and then into `rest`; it is repeated until
// `rest` begins, since all before was seen to be there. Returns the bytes, -errno if they did not come: after EFAULT
// nobody knows how many were taken from the socket.
int64_t ReceiveAll(int fd, std::span<uint8_t> first, const Target& target, uint64_t done, uint64_t until,
                   std::span<uint8_t> rest) {
  int64_t received = 0;
  while (true) {
    iovec vec[1 + kMaxReceivePieces + 1];
    int count = 0;
    if (!first.empty()) vec[count++] = {first.data(), first.size()};
    uint64_t covered;
    count += target.Gather(done, until, vec + count, kMaxReceivePieces, &covered);
    if (covered == until && !rest.empty()) vec[count++] = {rest.data(), rest.size()};
    msghdr message{};
    message.msg_iov = vec;
    message.msg_iovlen = static_cast<size_t>(count);
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? -errno : 0;
    received += got;
    uint64_t of_first = std::min<uint64_t>(static_cast<uint64_t>(got), first.size());
    first = first.subspan(of_first);
    done += static_cast<uint64_t>(got) - of_first;
    if (first.empty() && done >= until) return received;
  }
}

napi_value ReceiveResult(Arguments& args, int fd, int64_t got) {
  if (got >= 0) return args.Result(static_cast<double>(got));
  int error = static_cast<int>(-got);
  if (error == EAGAIN) return args.Result(kWouldBlock);
  if (IsGone(error)) return args.Result(kGone);
  return args.FailSystem(error, ShowFd(fd));
}

// Nothing has come, or less than a unit.
napi_value NothingReceived(Arguments& args, int fd, int available) {
  // Less than a unit is left for the caller to stage; nothing at all may be the end of the stream.
  if (available > 0) return args.Result(kWouldBlock);
  uint8_t probe;
  ssize_t got = recv(fd, &probe, 1, MSG_DONTWAIT | MSG_PEEK);
  if (got == 0) return args.Result(0);
  return args.Result(got < 0 && IsGone(errno) ? kGone : kWouldBlock);
}

// Copies bytes to byte `at` on of a target that reaches so far.
void Store(const Target& target, uint64_t at, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    iovec piece{};
    target.Gather(at, at + bytes.size(), &piece, 1, &at);
    memcpy(piece.iov_base, bytes.data(), piece.iov_len);
    bytes = bytes.subspan(piece.iov_len);
  }
}

// What is sent the moment a target is full and nothing has come after it; the pages of the target are noted before.
struct Prompt {
  std::span<const uint8_t> reply;
  std::span<uint8_t> noted;  // a byte per page of the target
  uint32_t* sent;
};

// A socket that takes none of it now, or is gone, tells whoever sends the rest.
void Answer(int fd, const Prompt& prompt) {
  memset(prompt.noted.data(), 1, prompt.noted.size());
  if (prompt.reply.empty()) return;
  ssize_t sent;
  do {
    sent = send(fd, prompt.reply.data(), prompt.reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) *prompt.sent = static_cast<uint32_t>(sent);
}

// Into the target first, in whole units, then into the buffer's first `ahead` bytes.
//
// With patience, the beginning of a unit whose end has not come is taken from the socket, too, where it would keep the
// sender's memory: it waits in `begun` for its end, so that the unit is stored as a whole, and when all has ended in the buffer.
napi_value Receive(Arguments& args, int fd, const Target& target, uint64_t unit, std::span<uint8_t> buffer,
                   uint64_t ahead, Patience patience, const Prompt* prompt) {
  std::span<uint8_t> rest = buffer.first(ahead);
  if (target.length() == 0) {
    if (rest.empty()) return args.Result(kWouldBlock);
    while (true) {
      int64_t got = ReceiveAll(fd, {}, target, 0, 0, rest);
      if (got != -EAGAIN) return ReceiveResult(args, fd, got);
      // To ask for their number is less in the sender's way. There are none at the end of the stream, which epoll tells.
      int available = 0;
      while (available == 0) {
        if (!patience.AskAgain()) return args.Result(kWouldBlock);
        if (ioctl(fd, FIONREAD, &available) != 0) return args.FailSystem(errno, ShowFd(fd));
      }
    }
  }
  uint8_t begun[kMaxBegunBytes], next[kMaxBegunBytes];
  uint64_t begun_bytes = 0;
  bool begins = patience.HasAny() && unit <= sizeof begun && unit <= buffer.size();
  uint64_t done = 0;
  while (done < kMaxReceiveBytes) {
    int available = 0;
    if (ioctl(fd, FIONREAD, &available) != 0) return args.FailSystem(errno, ShowFd(fd));
    uint64_t left = target.length() - done;
    uint64_t there = begun_bytes + static_cast<uint64_t>(available);
    uint64_t now = WholeUnits(target.at() + done, left, there, unit);
    if (now == 0) {
      if (patience.AskAgain()) continue;
      if (done + begun_bytes > 0) break;
      return NothingReceived(args, fd, available);
    }
    uint64_t until = done + now;
    uint64_t unit_bytes = begun_bytes == 0 ? 0 : std::min(now, unit - (target.at() + done) % unit);
    bool all = now == left;
    int64_t got = ReceiveAll(fd, std::span(begun, unit_bytes).subspan(begun_bytes), target, done + unit_bytes, until,
                             all ? rest : std::span(next, begins ? there - now : 0));
    if (got <= 0) {
      if (got == -EFAULT || done + begun_bytes == 0) return ReceiveResult(args, fd, got);
      break;
    }
    Store(target, done, {begun, unit_bytes});
    done += begun_bytes + static_cast<uint64_t>(got);
    if (all) {
      if (prompt != nullptr && done == target.length()) Answer(fd, *prompt);
      return args.Result(static_cast<double>(done));
    }
    begun_bytes = done - until;
    memcpy(begun, next, begun_bytes);
    done = until;
    // Who has sent that much is sending more at this moment: looking again is less than coming back for it.
    if (!patience.HasAny() && got < kHurryBytes) break;
    patience.Renew();
  }
  memcpy(buffer.data(), begun, begun_bytes);
  return args.Result(static_cast<double>(done + begun_bytes));
}

// The first arguments of a receive into a range of the arena.
struct RangeArguments {
  explicit RangeArguments(Arguments& args)
      : arena(static_cast<Arena*>(args.External(0, "arena"))),
        fd(args.Descriptor(1, "fd")),
        at(args.Integer(2, "at", 0, arena == nullptr ? 0 : arena->length_bytes)),
        length(args.Integer(3, "length", 0, arena == nullptr ? 0 : arena->length_bytes - at)),
        unit(args.Integer(4, "unit", 1, uint64_t{1} << 30)),
        buffer(args.Bytes(5, "buffer")) {}

  Arena* arena;
  int fd;
  uint64_t at, length, unit;
  std::span<uint8_t> buffer;
};

// arenaReceive(arena, fd, at, length, unit, buffer, from, until, patienceUs): bytes received, into the arena first, then
// into the buffer; 0 at the end of the stream, -1 if nothing fits or is there, -2 if the peer is gone.
napi_value ArenaReceive(const Napi::CallbackInfo& info) {
  Arguments args(info, "recvmsg");
  auto [arena, fd, at, length, unit, buffer] = RangeArguments(args);
  uint64_t from = args.Integer(6, "from", 0, buffer.size());
  uint64_t until = args.Integer(7, "until", from, buffer.size());
  Patience patience(args.Integer(8, "patienceUs", 0, kMaxPatienceUs));
  if (!args.ok()) return args.Undefined();
  return Receive(args, fd, Target(*arena, at, length), unit, buffer.subspan(from), until - from, patience, nullptr);
}

// arenaReceiveAnswering(arena, fd, at, length, unit, buffer, until, patienceUs, pages, reply, replyBytes, sent): the same, with
// the buffer from its beginning on. Once the range is full and nothing has come after it, its pages are noted (a byte for
// each page of the arena becomes 1), and the first replyBytes of the reply are sent; sent[0] tells how many were.
napi_value ArenaReceiveAnswering(const Napi::CallbackInfo& info) {
  Arguments args(info, "recvmsg");
  auto [arena, fd, at, length, unit, buffer] = RangeArguments(args);
  uint64_t until = args.Integer(6, "until", 0, buffer.size());
  Patience patience(args.Integer(7, "patienceUs", 0, kMaxPatienceUs));
  std::span<uint8_t> pages = args.Bytes(8, "pages");
  std::span<uint8_t> reply = args.Bytes(9, "reply");
  uint64_t reply_bytes = args.Integer(10, "replyBytes", 0, reply.size());
  std::span<uint32_t> sent = args.Words(11, "sent");
  if (!args.ok()) return args.Undefined();
  uint64_t first_page = at / kPageBytes;
  uint64_t end_page = (at + length + kPageBytes - 1) / kPageBytes;
  if (end_page > pages.size() || sent.empty()) {
    return args.Fail(EINVAL, "recvmsg: pages has " + std::to_string(pages.size()) + " bytes, expected one for each of " +
                                 std::to_string(end_page) + " pages, and sent " + std::to_string(sent.size()) +
                                 " numbers, expected 1");
  }
  sent[0] = 0;
  Prompt prompt{reply.first(reply_bytes), pages.subspan(first_page, end_page - first_page), sent.data()};
  return Receive(args, fd, Target(*arena, at, length), unit, buffer, until, patience, &prompt);
}

// arenaReceivePages(arena, fd, pages, from, until, unit, buffer, bufferFrom, bufferUntil, patienceUs): the same into pages of
// the arena, a Uint32Array of their numbers: into bytes `from` to below `until` of what they make up in that order.
napi_value ArenaReceivePages(const Napi::CallbackInfo& info) {
  Arguments args(info, "recvmsg");
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  int fd = args.Descriptor(1, "fd");
  std::span<uint32_t> pages = args.Words(2, "pages");
  uint64_t from = args.Integer(3, "from", 0, pages.size() * kPageBytes);
  uint64_t until = args.Integer(4, "until", from, pages.size() * kPageBytes);
  uint64_t unit = args.Integer(5, "unit", 1, kPageBytes);
  std::span<uint8_t> buffer = args.Bytes(6, "buffer");
  uint64_t buffer_from = args.Integer(7, "bufferFrom", 0, buffer.size());
  uint64_t buffer_until = args.Integer(8, "bufferUntil", buffer_from, buffer.size());
  Patience patience(args.Integer(9, "patienceUs", 0, kMaxPatienceUs));
  if (!args.ok()) return args.Undefined();
  Target target(*arena, 0, 0);
  if (!target.Set(pages, from, until)) return args.Fail(EINVAL, "recvmsg: one of the pages does not lie in the arena");
  uint64_t ahead = target.length() < until - from ? 0 : buffer_until - buffer_from;
  return Receive(args, fd, target, unit, buffer.subspan(buffer_from), ahead, patience, nullptr);
}

// waitWhileUnread(fd, enough, patienceUs): waits until the peer has read all that was sent, or `enough` bytes have come, or
// that time has passed. Returns 1 if the peer has read all, else 0.
napi_value WaitWhileUnread(const Napi::CallbackInfo& info) {
  Arguments args(info, "ioctl");
  int fd = args.Descriptor(0, "fd");
  uint64_t enough = args.Integer(1, "enough", 1, INT_MAX);
  Patience patience(args.Integer(2, "patienceUs", 0, kMaxPatienceUs));
  if (!args.ok()) return args.Undefined();
  while (true) {
    int unread = 0;
    int available = 0;
    // A kind of socket that does not tell is not waited for.
    if (ioctl(fd, TIOCOUTQ, &unread) != 0 && errno != ENOTTY && errno != EOPNOTSUPP) {
      return args.FailSystem(errno, ShowFd(fd));
    }
    if (ioctl(fd, FIONREAD, &available) != 0) return args.FailSystem(errno, ShowFd(fd));
    if (unread == 0) return args.Result(1);
    if (static_cast<uint64_t>(available) >= enough || !patience.AskAgain()) return args.Result(0);
    Patience::Pause(kUnreadPauseNs);
  }
}

// Fills vec from triples (place, offset, length) from `first` on, leaving the first `skip` bytes out. Returns the number
// of pieces, or -1 with the wrong triple in *wrong. Other threads could change the triples, so each value is read once.
int Gather(const Arena& arena, std::span<uint8_t> buffer, std::span<const double> triples, uint64_t first,
           uint64_t count, uint64_t skip, iovec* vec, uint64_t* wrong) {
  int filled = 0;
  for (uint64_t index = first; index < count && filled < kMaxPieces; index++) {
    uint64_t place, offset, length;
    if (!ToInteger(triples[index * kTripleNumbers], kZeroes, &place) ||
        !ToInteger(triples[index * kTripleNumbers + 1], kMaxSafeInteger, &offset) ||
        !ToInteger(triples[index * kTripleNumbers + 2], kMaxSafeInteger, &length) || skip > length ||
        (place == kArena && !arena.Contains(offset, length)) ||
        (place == kBuffer && (offset > buffer.size() || length > buffer.size() - offset))) {
      *wrong = index;
      return -1;
    }
    offset += skip;
    length -= skip;
    skip = 0;
    if (place == kBuffer) {
      if (length > 0) vec[filled++] = {buffer.data() + offset, length};
      continue;
    }
    while (length > 0 && filled < kMaxPieces) {
      vec[filled] = place == kArena ? arena.Piece(offset, length) : iovec{zeroes, std::min<size_t>(length, sizeof zeroes)};
      offset += vec[filled].iov_len;
      length -= vec[filled].iov_len;
      filled++;
    }
  }
  return filled;
}

// arenaSend(arena, fd, buffer, triples, first, count, skip): bytes sent, perhaps fewer than there are; -1 if the socket
// takes none now, -2 if the peer is gone.
napi_value ArenaSend(const Napi::CallbackInfo& info) {
  Arguments args(info, "sendmsg");
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  int fd = args.Descriptor(1, "fd");
  std::span<uint8_t> buffer = args.Bytes(2, "buffer");
  std::span<double> triples = args.Doubles(3, "triples");
  uint64_t count = args.Integer(5, "count", 0, triples.size() / kTripleNumbers);
  uint64_t first = args.Integer(4, "first", 0, count);
  uint64_t skip = args.Offset(6, "skip");
  if (!args.ok()) return args.Undefined();

  iovec vec[kMaxPieces];
  uint64_t wrong = 0;
  int filled = Gather(*arena, buffer, triples, first, count, skip, vec, &wrong);
  if (filled < 0) {
    const double* triple = &triples[wrong * kTripleNumbers];
    return args.Fail(EINVAL, "sendmsg: triple " + std::to_string(wrong) + " is (" + ShowNumber(triple[0]) + ", " +
                                 ShowNumber(triple[1]) + ", " + ShowNumber(triple[2]) +
                                 "), expected a range of the buffer (0), of the arena (1), or zeroes (2)");
  }
  msghdr message{};
  message.msg_iov = vec;
  message.msg_iovlen = static_cast<size_t>(filled);
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return args.Result(static_cast<double>(sent));
  if (errno == EAGAIN) return args.Result(kWouldBlock);
  if (IsGone(errno)) return args.Result(kGone);
  return args.FailSystem(errno, ShowFd(fd) + ", " + std::to_string(filled) + " pieces");
}

}  // namespace

void ExportStream(napi_env env, napi_value exports) {
  ExportAll(env, exports, {Export<ArenaReceive>("arenaReceive"),
                           Export<ArenaReceiveAnswering>("arenaReceiveAnswering"),
                           Export<ArenaReceivePages>("arenaReceivePages"), Export<ArenaSend>("arenaSend"),
                           Export<WaitWhileUnread>("waitWhileUnread")});
}

}  // namespace pinfold
