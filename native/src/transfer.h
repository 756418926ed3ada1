// Moves bytes between a descriptor and memory, going on after partial transfers and interrupted calls.
#ifndef PINFOLD_NATIVE_TRANSFER_H_
#define PINFOLD_NATIVE_TRANSFER_H_

#include <sys/uio.h>

#include <cstdint>

namespace pinfold {

enum class Direction { kRead, kWrite };

struct Outcome {
  uint64_t bytes;  // moved, also when an error ended it
  int error;       // 0, or an errno
};

// Transfers all of vec[0..count) from the file offset on; changes vec while it advances. count <= IOV_MAX. Fewer bytes
// without an error mean the end of the file (reads only: a write that cannot go on is EIO).
Outcome TransferAll(Direction direction, int fd, iovec* vec, int count, uint64_t file_offset);

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_TRANSFER_H_
