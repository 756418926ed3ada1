// Consecutive segments of shared memory seen as one range of bytes.
#ifndef PINFOLD_NATIVE_ARENA_H_
#define PINFOLD_NATIVE_ARENA_H_

#include <node_api.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pinfold {

struct Arena {
  napi_env env;
  std::vector<uint8_t*> segments;
  std::vector<napi_ref> views;  // strong: they keep the memory mapped
  uint64_t segment_bytes = 0;
  uint64_t length_bytes = 0;

  explicit Arena(napi_env environment) : env(environment) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (napi_ref view : views) napi_delete_reference(env, view);
  }

  bool Contains(uint64_t offset, uint64_t length) const {
    return offset <= length_bytes && length <= length_bytes - offset;
  }

  // Where `offset` is, and how many of `length` bytes follow it in the same segment.
  iovec Piece(uint64_t offset, uint64_t length) const {
    uint64_t index = offset / segment_bytes;
    uint64_t within = offset - index * segment_bytes;
    return {segments[index] + within, std::min(length, segment_bytes - within)};
  }
};

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_ARENA_H_
