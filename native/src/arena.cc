// The arena: consecutive segments of shared memory seen as one range of bytes, which files are read into and written
// from. Each JavaScript thread has an object of its own over the same memory.
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "arena.h"
#include "arguments.h"
#include "crc32c.h"
#include "modules.h"
#include "transfer.h"

namespace pinfold {

namespace {

constexpr uint32_t kMaxSegments = 1024;
constexpr int kCollapse = 25;  // MADV_COLLAPSE, since Linux 6.1; older headers don't know it
constexpr uint64_t kMaxEntries = uint64_t{1} << 20;  // (offset, length) pairs in one call

// Walks over the (offset, length) pairs of a call. Other threads could be changing them, so each value is checked where
// it is used.
class Cursor {
 public:
  Cursor(const Arena& arena, const double* pairs, uint64_t count) : arena_(arena), pairs_(pairs), count_(count) {}

  bool AtEnd() const { return index_ == count_; }
  uint64_t index() const { return index_; }

  // Fills vec with at most max pieces and advances; -1 if the pair at index() does not lie inside the arena.
  int Fill(iovec* vec, int max) {
    int filled = 0;
    while (filled < max && index_ < count_) {
      uint64_t offset, length;
      if (!ReadPair(index_, &offset, &length) || done_ > length) return -1;
      if (done_ < length) {
        vec[filled] = arena_.Piece(offset + done_, length - done_);
        done_ += vec[filled].iov_len;
        filled++;
      }
      if (done_ == length) {
        index_++;
        done_ = 0;
      }
    }
    return filled;
  }

  // The sum of all lengths, or the index of the first wrong pair in *wrong (otherwise left alone).
  uint64_t Total(uint64_t* wrong) const {
    uint64_t total = 0;
    for (uint64_t index = 0; index < count_; index++) {
      uint64_t offset, length;
      if (!ReadPair(index, &offset, &length)) {
        *wrong = index;
        return 0;
      }
      total += length;  // at most 2^20 entries of 2^42 bytes (1024 segments of 4 GiB): no overflow
    }
    return total;
  }

 private:
  bool ReadPair(uint64_t index, uint64_t* offset, uint64_t* length) const {
    return ToInteger(pairs_[2 * index], kMaxSafeInteger, offset) &&
           ToInteger(pairs_[2 * index + 1], kMaxSafeInteger, length) && arena_.Contains(*offset, *length);
  }

  const Arena& arena_;
  const double* pairs_;
  uint64_t count_;
  uint64_t index_ = 0;
  uint64_t done_ = 0;  // bytes of the current pair
};

void FreeArena(napi_env /*env*/, void* data, void* /*hint*/) { delete static_cast<Arena*>(data); }

// Adds one segment; throws and returns false if it does not fit.
bool AddSegment(Arguments& args, Arena& arena, uint32_t index, uint32_t count) {
  std::string name = "segment " + std::to_string(index);
  napi_value view, buffer;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_element(args.env(), args[0], index, &view) != napi_ok ||
      napi_get_typedarray_info(args.env(), view, &type, &length, &data, &buffer, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    args.Fail(EINVAL, "Arena: " + name + " is not a Uint8Array");
    return false;
  }
  // An ArrayBuffer can be detached, which would leave a dangling pointer here. A SharedArrayBuffer cannot.
  bool unshared = true;
  if (napi_is_arraybuffer(args.env(), buffer, &unshared) != napi_ok || unshared) {
    args.Fail(EINVAL, "Arena: " + name + " is not a view of a SharedArrayBuffer");
    return false;
  }
  bool last = index == count - 1;
  if (index == 0) arena.segment_bytes = length;
  if (length == 0 || data == nullptr || length > arena.segment_bytes || (!last && length < arena.segment_bytes)) {
    args.Fail(EINVAL, "Arena: " + name + " has " + std::to_string(length) + " bytes, expected " +
                          (last ? "1 to " : "") + std::to_string(arena.segment_bytes));
    return false;
  }
  napi_ref reference;
  if (napi_create_reference(args.env(), view, 1, &reference) != napi_ok) return false;
  arena.views.push_back(reference);
  arena.segments.push_back(static_cast<uint8_t*>(data));
  arena.length_bytes += length;
  return true;
}

// createArena(views): handle
napi_value CreateArena(const Napi::CallbackInfo& info) {
  Arguments args(info, "Arena");
  uint32_t count = 0;
  if (napi_get_array_length(args.env(), args[0], &count) != napi_ok || count == 0 || count > kMaxSegments) {
    return args.Fail(EINVAL, "Arena: expected an array of 1 to " + std::to_string(kMaxSegments) + " segments, got " +
                                 std::to_string(count));
  }
  auto arena = std::make_unique<Arena>(args.env());
  for (uint32_t index = 0; index < count; index++) {
    if (!AddSegment(args, *arena, index, count)) return args.Undefined();
  }
  napi_value handle;
  if (napi_create_external(args.env(), arena.get(), FreeArena, nullptr, &handle) != napi_ok) return args.Undefined();
  arena.release();  // FreeArena owns it now
  return handle;
}

// (arena, fd, pairs, count, fileOffset): bytes moved
napi_value Transfer(Arguments& args, Direction direction) {
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  int fd = args.Descriptor(1, "fd");
  std::span<double> pairs = args.Doubles(2, "iov");
  uint64_t count = args.Integer(3, "count", 0, std::min<uint64_t>(pairs.size() / 2, kMaxEntries));
  uint64_t file_offset = args.Offset(4, "fileOffset");
  if (!args.ok()) return args.Undefined();

  Cursor cursor(*arena, pairs.data(), count);
  uint64_t wrong = count;
  uint64_t total = cursor.Total(&wrong);
  if (wrong < count) {
    return args.Fail(EINVAL, std::string(args.call()) + ": iov entry " + std::to_string(wrong) + " is (" +
                                 ShowNumber(pairs[2 * wrong]) + ", " + ShowNumber(pairs[2 * wrong + 1]) +
                                 "), expected a range inside the arena of " + std::to_string(arena->length_bytes) +
                                 " bytes");
  }
  if (total > kMaxSafeInteger - file_offset) {
    return args.Fail(EINVAL, std::string(args.call()) + ": " + std::to_string(total) + " bytes at fileOffset " +
                                 std::to_string(file_offset) + " reach past the largest possible file");
  }

  iovec batch[IOV_MAX];
  uint64_t done = 0;
  while (!cursor.AtEnd()) {
    int filled = cursor.Fill(batch, IOV_MAX);
    if (filled < 0) {
      return args.Fail(EINVAL, std::string(args.call()) + ": iov entry " + std::to_string(cursor.index()) +
                                   " was changed during the call");
    }
    uint64_t wanted = 0;
    for (int index = 0; index < filled; index++) wanted += batch[index].iov_len;
    Outcome outcome = TransferAll(direction, fd, batch, filled, file_offset + done);
    done += outcome.bytes;
    if (outcome.error != 0) {
      return args.FailSystem(outcome.error, "fd " + std::to_string(fd) + ", after " + std::to_string(done) + " of " +
                                                std::to_string(total) + " bytes at fileOffset " +
                                                std::to_string(file_offset));
    }
    if (outcome.bytes < wanted) break;  // end of the file
  }
  return args.Result(static_cast<double>(done));
}

napi_value ArenaPreadv(const Napi::CallbackInfo& info) {
  Arguments args(info, "preadv");
  return Transfer(args, Direction::kRead);
}

napi_value ArenaPwritev(const Napi::CallbackInfo& info) {
  Arguments args(info, "pwritev");
  return Transfer(args, Direction::kWrite);
}

// (arena, at, bytes, from, until)
napi_value Copy(Arguments& args, bool in) {
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  uint64_t at = args.Integer(1, "at", 0, arena == nullptr ? 0 : arena->length_bytes);
  std::span<uint8_t> bytes = args.Bytes(2, "bytes");
  uint64_t from = args.Integer(3, "from", 0, bytes.size());
  uint64_t until = args.Integer(4, "until", from, bytes.size());
  if (!args.ok()) return args.Undefined();
  if (!arena->Contains(at, until - from)) {
    return args.Fail(EINVAL, "Arena: " + std::to_string(until - from) + " bytes at " + std::to_string(at) +
                                 " reach past its " + std::to_string(arena->length_bytes) + " bytes");
  }
  while (from < until) {
    iovec piece = arena->Piece(at, until - from);
    uint8_t* view = bytes.data() + from;
    memmove(in ? piece.iov_base : view, in ? view : piece.iov_base, piece.iov_len);
    at += piece.iov_len;
    from += piece.iov_len;
  }
  return args.Undefined();
}

napi_value ArenaWrite(const Napi::CallbackInfo& info) {
  Arguments args(info, "Arena");
  return Copy(args, true);
}

napi_value ArenaRead(const Napi::CallbackInfo& info) {
  Arguments args(info, "Arena");
  return Copy(args, false);
}

// arenaCollapse(arena, offset, length): 1 if huge pages hold that range now, else 0.
napi_value ArenaCollapse(const Napi::CallbackInfo& info) {
  Arguments args(info, "madvise");
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  uint64_t offset = args.Integer(1, "offsetBytes", 0, arena == nullptr ? 0 : arena->length_bytes);
  uint64_t length = args.Integer(2, "lengthBytes", 0, arena == nullptr ? 0 : arena->length_bytes - offset);
  if (!args.ok()) return args.Undefined();
  while (length > 0) {
    iovec piece = arena->Piece(offset, length);
    // The reasons why it fails pass by (no huge page is free, a page is in use), or can't be told from those.
    if (madvise(piece.iov_base, piece.iov_len, kCollapse) != 0) return args.Result(0);
    offset += piece.iov_len;
    length -= piece.iov_len;
  }
  return args.Result(1);
}

// arenaCrc32c(arena, offset, length, seed)
napi_value ArenaCrc32c(const Napi::CallbackInfo& info) {
  Arguments args(info, "crc32c");
  auto* arena = static_cast<Arena*>(args.External(0, "arena"));
  uint64_t offset = args.Integer(1, "offsetBytes", 0, arena == nullptr ? 0 : arena->length_bytes);
  uint64_t length = args.Integer(2, "lengthBytes", 0, arena == nullptr ? 0 : arena->length_bytes - offset);
  auto crc = static_cast<uint32_t>(args.Integer(3, "seed", 0, UINT32_MAX));
  if (!args.ok()) return args.Undefined();
  while (length > 0) {
    iovec piece = arena->Piece(offset, length);
    crc = Crc32c(crc, static_cast<const uint8_t*>(piece.iov_base), piece.iov_len);
    offset += piece.iov_len;
    length -= piece.iov_len;
  }
  return args.Result(crc);
}

// viewCrc32c(view, seed, tables)
napi_value ViewCrc32c(const Napi::CallbackInfo& info) {
  Arguments args(info, "crc32c");
  std::span<uint8_t> bytes = args.Bytes(0, "view");
  auto seed = static_cast<uint32_t>(args.Integer(1, "seed", 0, UINT32_MAX));
  bool tables = args.Boolean(2, "tables");
  if (!args.ok()) return args.Undefined();
  return args.Result((tables ? Crc32cWithTables : Crc32c)(seed, bytes.data(), bytes.size()));
}

}  // namespace

void ExportArena(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<CreateArena>("createArena"),
                Export<ArenaPreadv>("arenaPreadv"),
                Export<ArenaPwritev>("arenaPwritev"),
                Export<ArenaWrite>("arenaWrite"),
                Export<ArenaRead>("arenaRead"),
                Export<ArenaCollapse>("arenaCollapse"),
                Export<ArenaCrc32c>("arenaCrc32c"),
                Export<ViewCrc32c>("viewCrc32c"),
            });
}

}  // namespace pinfold
