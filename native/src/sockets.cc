// Unix sockets: connecting, asking who the peer is, and sending descriptors. Receiving them is in receive.cc.
#include "sockets.h"

#include <poll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "arguments.h"
#include "modules.h"

namespace pinfold {

namespace {

constexpr uint64_t kMaxSendTimeoutMs = 60'000;

std::string ShowFd(int fd) { return "fd " + std::to_string(fd); }

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

napi_value ConnectUnix(const Napi::CallbackInfo& info) {
  Arguments args(info, "connect");
  sockaddr_un address{};
  std::string path = args.Text(0, "path", sizeof address.sun_path - 1);
  if (!args.ok()) return args.Undefined();
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());

  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return args.FailSystem(errno, path);
  // A Unix socket connects at once or fails: there is nothing to wait for.
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    close(fd);
    return args.FailSystem(error, path);
  }
  return args.Result(fd);
}

// peerCredentials(fd, out): out = [pid, uid, gid]
napi_value PeerCredentials(const Napi::CallbackInfo& info) {
  Arguments args(info, "getsockopt");
  int fd = args.Descriptor(0, "socketFd");
  std::span<double> out = args.Doubles(1, "out");
  if (!args.ok()) return args.Undefined();
  if (out.size() < 3) return args.Fail(EINVAL, "getsockopt: out has fewer than 3 elements");
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return args.FailSystem(errno, ShowFd(fd));
  // Sockets of other families, and those that are not connected, answer with nobody.
  if (peer.pid == 0 && peer.uid == static_cast<uid_t>(-1)) {
    return args.Fail(EINVAL, "getsockopt: " + ShowFd(fd) + " is no connected Unix socket");
  }
  out[0] = peer.pid;
  out[1] = peer.uid;
  out[2] = peer.gid;
  return args.Undefined();
}

// Waits until the socket takes bytes again. Returns 0 or an errno.
int WaitWritable(int fd, int64_t deadline_ms) {
  while (true) {
    int64_t left = deadline_ms - NowMs();
    if (left <= 0) return ETIMEDOUT;
    pollfd wanted{fd, POLLOUT, 0};
    int ready = poll(&wanted, 1, static_cast<int>(left));
    if (ready > 0) return 0;  // also for an error: the next sendmsg tells it
    if (ready < 0 && errno != EINTR) return errno;
  }
}

// Sends all of data, the descriptors with its first bytes. Returns 0 or an errno.
int SendAll(int fd, std::span<const uint8_t> data, std::span<const int> descriptors, uint64_t timeout_ms) {
  int64_t deadline_ms = NowMs() + static_cast<int64_t>(timeout_ms);
  DescriptorControl control{};
  while (!data.empty()) {
    iovec vec{const_cast<uint8_t*>(data.data()), data.size()};  // sendmsg only reads it
    msghdr message{};
    message.msg_iov = &vec;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
      message.msg_control = control.bytes;
      message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      data = data.subspan(static_cast<size_t>(sent));
      descriptors = {};
    } else if (errno == EAGAIN) {
      int error = WaitWritable(fd, deadline_ms);
      if (error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// sendDescriptors(fd, data, fds, timeoutMs)
napi_value SendDescriptors(const Napi::CallbackInfo& info) {
  Arguments args(info, "sendmsg");
  int fd = args.Descriptor(0, "socketFd");
  std::span<uint8_t> data = args.Bytes(1, "data");
  std::span<double> numbers = args.Doubles(2, "fds");
  uint64_t timeout_ms = args.Integer(3, "timeoutMs", 0, kMaxSendTimeoutMs);
  if (!args.ok()) return args.Undefined();
  if (data.empty() || data.size() > kMaxMessageBytes) {
    return args.Fail(EINVAL, "sendmsg: data has " + std::to_string(data.size()) + " bytes, expected 1 to " +
                                 std::to_string(kMaxMessageBytes));
  }
  if (numbers.size() > kMaxDescriptors) {
    return args.Fail(EINVAL, "sendmsg: " + std::to_string(numbers.size()) + " descriptors, at most " +
                                 std::to_string(kMaxDescriptors) + " are possible");
  }
  int descriptors[kMaxDescriptors];
  for (size_t index = 0; index < numbers.size(); index++) {
    uint64_t number;
    if (!ToInteger(numbers[index], INT32_MAX, &number)) {
      return args.Fail(EBADF, "sendmsg: fds[" + std::to_string(index) + "] is " + ShowNumber(numbers[index]) +
                                  ", expected an open descriptor");
    }
    descriptors[index] = static_cast<int>(number);
  }
  int error = SendAll(fd, data, {descriptors, numbers.size()}, timeout_ms);
  if (error == 0) return args.Undefined();
  return args.FailSystem(error, ShowFd(fd) + ", " + std::to_string(data.size()) + " bytes and " +
                                    std::to_string(numbers.size()) + " descriptors");
}

}  // namespace

void ExportSockets(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<ConnectUnix>("connectUnix"),
                Export<PeerCredentials>("peerCredentials"),
                Export<SendDescriptors>("sendDescriptors"),
            });
}

}  // namespace pinfold
