// preadv and pwritev until everything is moved.
#include "transfer.h"

#include <cerrno>

namespace pinfold {

Outcome TransferAll(Direction direction, int fd, iovec* vec, int count, uint64_t file_offset) {
  uint64_t done = 0;
  while (count > 0) {
    if (vec->iov_len == 0) {
      vec++;
      count--;
      continue;
    }
    off_t at = static_cast<off_t>(file_offset + done);
    ssize_t moved = direction == Direction::kRead ? preadv(fd, vec, count, at) : pwritev(fd, vec, count, at);
    if (moved < 0) {
      if (errno == EINTR) continue;
      return {done, errno};
    }
    if (moved == 0) return {done, direction == Direction::kRead ? 0 : EIO};
    done += static_cast<uint64_t>(moved);
    auto rest = static_cast<size_t>(moved);
    while (count > 0 && rest >= vec->iov_len) {
      rest -= vec->iov_len;
      vec++;
      count--;
    }
    if (rest > 0) {
      vec->iov_base = static_cast<char*>(vec->iov_base) + rest;
      vec->iov_len -= rest;
    }
  }
  return {done, 0};
}

}  // namespace pinfold
