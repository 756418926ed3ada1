// Memory that processes share: sealed memfds, and mappings of descriptors as SharedArrayBuffers.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "arguments.h"
#include "modules.h"
#include "shared_buffer.h"

namespace pinfold {

namespace {

constexpr size_t kMaxMemoryNameBytes = 249;  // the kernel's limit for memfd_create
// One typed array covers at most 2^32 elements, so a longer segment could not be viewed whole.
constexpr uint64_t kMaxSegmentBytes = uint64_t{1} << 32;
// With pages of 4 KiB; the same number in native/arena.ts. Where they are longer, there are none of this length.
constexpr uint64_t kHugePageBytes = 2 * 1024 * 1024;

std::string Range(uint64_t offset, uint64_t length) {
  return std::to_string(length) + " bytes at offset " + std::to_string(offset);
}

// createSealedMemory(name, lengthBytes): descriptor of a sparse memfd that can never change its size.
napi_value CreateSealedMemory(const Napi::CallbackInfo& info) {
  Arguments args(info, "memfd_create");
  std::string name = args.Text(0, "name", kMaxMemoryNameBytes);
  uint64_t length = args.Integer(1, "lengthBytes", 1, kMaxSafeInteger);
  if (!args.ok()) return args.Undefined();

  int fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return args.FailSystem(errno, "name " + name);
  if (ftruncate(fd, static_cast<off_t>(length)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int error = errno;
    close(fd);
    return args.FailSystem(error, "lengthBytes " + std::to_string(length));
  }
  return args.Result(fd);
}

// checkSealed(fd, lengthBytes): throws unless the memfd is at least that long and can never become shorter.
napi_value CheckSealed(const Napi::CallbackInfo& info) {
  Arguments args(info, "fcntl");
  int fd = args.Descriptor(0, "fd");
  uint64_t length = args.Integer(1, "lengthBytes", 1, kMaxSafeInteger);
  if (!args.ok()) return args.Undefined();

  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return args.FailSystem(errno, "F_GET_SEALS of fd " + std::to_string(fd) + ", expected a memfd");
  if ((seals & F_SEAL_SHRINK) == 0) {
    return args.Fail(EPERM, "fcntl: fd " + std::to_string(fd) +
                                " is not sealed against shrinking, so mapping it could kill this process later");
  }
  struct stat status;
  if (fstat(fd, &status) != 0) return args.FailSystem(errno, "fstat of fd " + std::to_string(fd));
  if (static_cast<uint64_t>(status.st_size) < length) {
    return args.Fail(EINVAL, "fcntl: fd " + std::to_string(fd) + " holds " + std::to_string(status.st_size) +
                                 " bytes, expected at least " + std::to_string(length));
  }
  return args.Undefined();
}

// reserveRange(fd, offset, length): makes sure that a store into a mapping of this range finds its block. fallocate
// allocates what is missing or fails with ENOSPC; where it is not supported, a hole is refused.
napi_value ReserveRange(const Napi::CallbackInfo& info) {
  Arguments args(info, "fallocate");
  int fd = args.Descriptor(0, "fd");
  uint64_t offset = args.Offset(1, "offsetBytes");
  uint64_t length = args.Integer(2, "lengthBytes", 1, kMaxSafeInteger - offset);
  if (!args.ok()) return args.Undefined();

  struct stat status;
  if (fstat(fd, &status) != 0) return args.FailSystem(errno, "fstat of fd " + std::to_string(fd));
  if (!S_ISREG(status.st_mode)) {
    return args.Fail(EINVAL, "fallocate: fd " + std::to_string(fd) + " is not a regular file");
  }
  if (offset + length > static_cast<uint64_t>(status.st_size)) {
    return args.Fail(EINVAL, "fallocate: " + Range(offset, length) + " reach past the end of the file, which has " +
                                 std::to_string(status.st_size));
  }
  int result;
  do {
    result = fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return args.Undefined();
  if (errno != EOPNOTSUPP) return args.FailSystem(errno, Range(offset, length));
  off_t hole = lseek(fd, static_cast<off_t>(offset), SEEK_HOLE);
  if (hole < 0) return args.FailSystem(errno, "SEEK_HOLE from offset " + std::to_string(offset));
  if (static_cast<uint64_t>(hole) < offset + length) {
    return args.Fail(EINVAL, "fallocate: the file has a hole at offset " + std::to_string(hole) +
                                 ", a store into it through a mapping could kill this process");
  }
  return args.Undefined();
}

// Addresses for a mapping of that length, such that huge pages of the file are huge pages of the mapping. The caller maps
// over them. Null where that does not matter, or fails: then the system chooses.
void* HugeAligned(uint64_t offset, uint64_t length) {
  if (length < kHugePageBytes) return nullptr;
  uint64_t reserved = length + kHugePageBytes;
  void* base = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  auto start = reinterpret_cast<uintptr_t>(base);
  uint64_t before = (offset - start) % kHugePageBytes;
  auto* aligned = static_cast<uint8_t*>(base) + before;
  if (before > 0) munmap(base, before);
  if (before < kHugePageBytes) munmap(aligned + length, kHugePageBytes - before);
  return aligned;
}

// mapShared(fd, offset, length, writable): SharedArrayBuffer over that part of the descriptor.
napi_value MapShared(const Napi::CallbackInfo& info) {
  Arguments args(info, "mmap");
  int fd = args.Descriptor(0, "fd");
  uint64_t offset = args.Offset(1, "offsetBytes");
  uint64_t length = args.Integer(2, "lengthBytes", 1, kMaxSegmentBytes);
  bool writable = args.Boolean(3, "writable");
  if (!args.ok()) return args.Undefined();

  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* wanted = HugeAligned(offset, length);
  int flags = MAP_SHARED | MAP_NORESERVE | (wanted == nullptr ? 0 : MAP_FIXED);
  void* base = mmap(wanted, length, protection, flags, fd, static_cast<off_t>(offset));
  if (base == MAP_FAILED) {
    int error = errno;
    if (wanted != nullptr) munmap(wanted, length);
    return args.FailSystem(error, Range(offset, length) + " of fd " + std::to_string(fd));
  }
  return WrapMapping(args.env(), base, length);
}

// pageBytes(): the size of the host's pages.
napi_value PageBytes(const Napi::CallbackInfo& info) {
  return Arguments(info, "sysconf").Result(static_cast<double>(sysconf(_SC_PAGESIZE)));
}

}  // namespace

void ExportMemory(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<CreateSealedMemory>("createSealedMemory"),
                Export<CheckSealed>("checkSealed"),
                Export<ReserveRange>("reserveRange"),
                Export<MapShared>("mapShared"),
                Export<PageBytes>("pageBytes"),
            });
}

}  // namespace pinfold
