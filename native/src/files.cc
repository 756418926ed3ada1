// File system calls on plain descriptors.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "arguments.h"
#include "modules.h"
#include "transfer.h"

namespace pinfold {

namespace {

std::string ShowFd(int fd) { return "fd " + std::to_string(fd); }

napi_value TransferView(Arguments& args, Direction direction) {
  int fd = args.Descriptor(0, "fd");
  std::span<uint8_t> view = args.Bytes(1, "view");
  uint64_t file_offset = args.Integer(2, "fileOffset", 0, kMaxSafeInteger - view.size());
  if (!args.ok()) return args.Undefined();
  iovec vec{view.data(), view.size()};
  Outcome outcome = TransferAll(direction, fd, &vec, 1, file_offset);
  if (outcome.error != 0) {
    return args.FailSystem(outcome.error, ShowFd(fd) + ", after " + std::to_string(outcome.bytes) + " of " +
                                              std::to_string(view.size()) + " bytes at fileOffset " +
                                              std::to_string(file_offset));
  }
  return args.Result(static_cast<double>(outcome.bytes));
}

napi_value PreadInto(const Napi::CallbackInfo& info) {
  Arguments args(info, "pread");
  return TransferView(args, Direction::kRead);
}

napi_value PwriteFrom(const Napi::CallbackInfo& info) {
  Arguments args(info, "pwrite");
  return TransferView(args, Direction::kWrite);
}

napi_value Fdatasync(const Napi::CallbackInfo& info) {
  Arguments args(info, "fdatasync");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  int result;
  do {
    result = fdatasync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? args.Undefined() : args.FailSystem(errno, ShowFd(fd));
}

// startWriteback(fd, offset, length)
napi_value StartWriteback(const Napi::CallbackInfo& info) {
  Arguments args(info, "sync_file_range");
  int fd = args.Descriptor(0, "fd");
  uint64_t offset = args.Offset(1, "offsetBytes");
  uint64_t length = args.Integer(2, "lengthBytes", 1, kMaxSafeInteger - offset);
  if (!args.ok()) return args.Undefined();
  int result;
  do {
    result = sync_file_range(fd, static_cast<off64_t>(offset), static_cast<off64_t>(length), SYNC_FILE_RANGE_WRITE);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? args.Undefined() : args.FailSystem(errno, ShowFd(fd));
}

// The order of native/files.ts: allocate, punch, zero.
constexpr int kFallocateModes[] = {0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};

// fallocate(fd, mode, offset, length)
napi_value Fallocate(const Napi::CallbackInfo& info) {
  Arguments args(info, "fallocate");
  int fd = args.Descriptor(0, "fd");
  uint64_t mode = args.Integer(1, "mode", 0, std::size(kFallocateModes) - 1);
  uint64_t offset = args.Offset(2, "offsetBytes");
  uint64_t length = args.Integer(3, "lengthBytes", 1, kMaxSafeInteger - offset);
  if (!args.ok()) return args.Undefined();
  int result;
  do {
    result = fallocate(fd, kFallocateModes[mode], static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd) + ", " + std::to_string(length) + " bytes at offset " +
                                    std::to_string(offset));
}

// seekExtent(fd, offset, hole): where the next hole, or the next data, begins at or after the offset; -1 if there is no
// data any more.
napi_value SeekExtent(const Napi::CallbackInfo& info) {
  Arguments args(info, "lseek");
  int fd = args.Descriptor(0, "fd");
  uint64_t offset = args.Offset(1, "offsetBytes");
  bool hole = args.Boolean(2, "hole");
  if (!args.ok()) return args.Undefined();
  off_t found = lseek(fd, static_cast<off_t>(offset), hole ? SEEK_HOLE : SEEK_DATA);
  if (found >= 0) return args.Result(static_cast<double>(found));
  if (errno == ENXIO) return args.Result(-1);
  return args.FailSystem(errno, ShowFd(fd) + ", offset " + std::to_string(offset));
}

napi_value Duplicate(const Napi::CallbackInfo& info) {
  Arguments args(info, "dup");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 ? args.Result(copy) : args.FailSystem(errno, ShowFd(fd));
}

napi_value CloseDescriptor(const Napi::CallbackInfo& info) {
  Arguments args(info, "close");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  // Linux has freed the number even when it reports EINTR: trying again could close another thread's file.
  if (close(fd) == 0 || errno == EINTR) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd));
}

// openFile(path, create, exclusive, readOnly, direct, mode)
napi_value OpenFile(const Napi::CallbackInfo& info) {
  Arguments args(info, "open");
  std::string path = args.Text(0, "path", PATH_MAX - 1);
  int flags = O_CLOEXEC | O_NOCTTY;
  if (args.Boolean(1, "create")) flags |= O_CREAT;
  if (args.Boolean(2, "exclusive")) flags |= O_EXCL;
  flags |= args.Boolean(3, "readOnly") ? O_RDONLY : O_RDWR;
  if (args.Boolean(4, "direct")) flags |= O_DIRECT;
  auto mode = static_cast<mode_t>(args.Integer(5, "mode", 0, 0777));
  if (!args.ok()) return args.Undefined();
  int fd;
  do {
    fd = open(path.c_str(), flags, mode);
  } while (fd < 0 && errno == EINTR);
  return fd >= 0 ? args.Result(fd) : args.FailSystem(errno, path);
}

// fileStatus(fd, out): out = [sizeBytes, allocatedBytes, 1 if it is a block device]
napi_value FileStatus(const Napi::CallbackInfo& info) {
  Arguments args(info, "fstat");
  int fd = args.Descriptor(0, "fd");
  std::span<double> out = args.Doubles(1, "out");
  if (!args.ok()) return args.Undefined();
  if (out.size() < 3) return args.Fail(EINVAL, "fstat: out has fewer than 3 elements");
  struct stat status;
  if (fstat(fd, &status) != 0) return args.FailSystem(errno, ShowFd(fd));
  auto size = static_cast<uint64_t>(status.st_size);
  bool block_device = S_ISBLK(status.st_mode);
  if (block_device && ioctl(fd, BLKGETSIZE64, &size) != 0) {
    return args.FailSystem(errno, "BLKGETSIZE64 of " + ShowFd(fd));
  }
  out[0] = static_cast<double>(size);
  out[1] = static_cast<double>(status.st_blocks) * 512;
  out[2] = block_device ? 1 : 0;
  return args.Undefined();
}

napi_value TruncateFile(const Napi::CallbackInfo& info) {
  Arguments args(info, "ftruncate");
  int fd = args.Descriptor(0, "fd");
  uint64_t size = args.Offset(1, "sizeBytes");
  if (!args.ok()) return args.Undefined();
  int result;
  do {
    result = ftruncate(fd, static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? args.Undefined() : args.FailSystem(errno, ShowFd(fd) + ", size " + std::to_string(size));
}

// tryLock(fd): 1 if this open file holds the exclusive flock now, 0 if another one does.
napi_value TryLock(const Napi::CallbackInfo& info) {
  Arguments args(info, "flock");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return args.Result(1);
  return errno == EWOULDBLOCK ? args.Result(0) : args.FailSystem(errno, ShowFd(fd));
}

}  // namespace

void ExportFiles(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<PreadInto>("preadInto"),
                Export<PwriteFrom>("pwriteFrom"),
                Export<Fdatasync>("fdatasync"),
                Export<StartWriteback>("startWriteback"),
                Export<Fallocate>("fallocate"),
                Export<SeekExtent>("seekExtent"),
                Export<Duplicate>("dup"),
                Export<CloseDescriptor>("closeDescriptor"),
                Export<OpenFile>("openFile"),
                Export<FileStatus>("fileStatus"),
                Export<TruncateFile>("truncateFile"),
                Export<TryLock>("tryLock"),
            });
}

}  // namespace pinfold
