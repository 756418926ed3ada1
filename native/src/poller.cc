// Waiting for many sockets at once: listening, accepting, epoll, and an event that ends the wait.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "arguments.h"
#include "modules.h"
#include "patience.h"

namespace pinfold {

namespace {

constexpr int kBacklog = 1024;
constexpr int kSendBufferBytes = 1024 * 1024;
constexpr int kMaxEvents = 256;
constexpr uint64_t kMaxTimeoutMs = 60'000;

std::string ShowFd(int fd) { return "fd " + std::to_string(fd); }

// More than usual: a large reply fits as a whole. The host may allow less.
void SetSendBuffer(int fd) {
  int bytes = kSendBufferBytes;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

napi_value Listen(Arguments& args, const sockaddr* address, socklen_t length, const std::string& shown) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return args.FailSystem(errno, shown);
  int one = 1;
  if (address->sa_family != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, address, length) != 0 || listen(fd, kBacklog) != 0) {
    int error = errno;
    close(fd);
    return args.FailSystem(error, shown);
  }
  return args.Result(fd);
}

// listenUnix(path, mode): the socket's file has that mode before anybody can connect.
napi_value ListenUnix(const Napi::CallbackInfo& info) {
  Arguments args(info, "bind");
  sockaddr_un address{};
  std::string path = args.Text(0, "path", sizeof address.sun_path - 1);
  auto mode = static_cast<mode_t>(args.Integer(1, "mode", 0, 0777));
  if (!args.ok()) return args.Undefined();
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return args.FailSystem(errno, path);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    close(fd);
    return args.FailSystem(error, path);
  }
  if (chmod(path.c_str(), mode) != 0 || listen(fd, kBacklog) != 0) {
    int error = errno;
    unlink(path.c_str());
    close(fd);
    return args.FailSystem(error, path);
  }
  return args.Result(fd);
}

// listenTcp(address, port): a numeric IPv4 or IPv6 address; port 0 takes any.
napi_value ListenTcp(const Napi::CallbackInfo& info) {
  Arguments args(info, "bind");
  std::string host = args.Text(0, "address", INET6_ADDRSTRLEN);
  auto port = static_cast<uint16_t>(args.Integer(1, "port", 0, UINT16_MAX));
  if (!args.ok()) return args.Undefined();
  std::string shown = host + " port " + std::to_string(port);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    return Listen(args, reinterpret_cast<const sockaddr*>(&v4), sizeof v4, shown);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    return Listen(args, reinterpret_cast<const sockaddr*>(&v6), sizeof v6, shown);
  }
  return args.Fail(EINVAL, "bind: address is " + host + ", expected a numeric IPv4 or IPv6 address");
}

// listeningPort(fd): the port that a TCP socket is bound to; 0 for a Unix socket. Fails unless it listens.
napi_value ListeningPort(const Napi::CallbackInfo& info) {
  Arguments args(info, "getsockname");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  int listening = 0;
  socklen_t length = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0) return args.FailSystem(errno, ShowFd(fd));
  if (listening == 0) return args.Fail(EINVAL, "getsockname: " + ShowFd(fd) + " is no listening socket");
  sockaddr_storage address{};
  length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return args.FailSystem(errno, ShowFd(fd));
  if (address.ss_family == AF_INET) return args.Result(ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port));
  if (address.ss_family == AF_INET6) return args.Result(ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port));
  return args.Result(0);
}

// acceptStream(fd): a non-blocking descriptor, or -1 if nobody waits any more.
napi_value AcceptStream(const Napi::CallbackInfo& info) {
  Arguments args(info, "accept");
  int listener = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  int fd;
  do {
    // The flag would come with a listening socket that was inherited as a blocking one.
    pollfd ready{listener, POLLIN, 0};
    int count = poll(&ready, 1, 0);
    if (count < 0 && errno == EINTR) {
      fd = -1;
      continue;
    }
    if (count == 0) return args.Result(-1);
    fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) return errno == EAGAIN ? args.Result(-1) : args.FailSystem(errno, ShowFd(listener));
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // refused by Unix sockets, which need none
  SetSendBuffer(fd);
  return args.Result(fd);
}

napi_value CreatePoller(const Napi::CallbackInfo& info) {
  Arguments args(info, "epoll_create1");
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd >= 0 ? args.Result(fd) : args.FailSystem(errno, "no arguments");
}

// setInterest(poller, fd, added, interest): interest is 1 for readable, 2 for writable, both, or 0 for errors only.
napi_value SetInterest(const Napi::CallbackInfo& info) {
  Arguments args(info, "epoll_ctl");
  int poller = args.Descriptor(0, "poller");
  int fd = args.Descriptor(1, "fd");
  bool added = args.Boolean(2, "added");
  uint64_t interest = args.Integer(3, "interest", 0, 3);
  if (!args.ok()) return args.Undefined();
  epoll_event event{};
  event.events = ((interest & 1) != 0 ? EPOLLIN : 0u) | ((interest & 2) != 0 ? EPOLLOUT : 0u);
  event.data.fd = fd;
  if (epoll_ctl(poller, added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd) + " in poller " + ShowFd(poller));
}

// removeInterest(poller, fd): fd stays open, and somebody else waits for it.
napi_value RemoveInterest(const Napi::CallbackInfo& info) {
  Arguments args(info, "epoll_ctl");
  int poller = args.Descriptor(0, "poller");
  int fd = args.Descriptor(1, "fd");
  if (!args.ok()) return args.Undefined();
  if (epoll_ctl(poller, EPOLL_CTL_DEL, fd, nullptr) == 0) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd) + " in poller " + ShowFd(poller));
}

// waitPoller(poller, out, timeoutMs, patienceUs): how many descriptors are ready; out gets them, with a 1 for readable, 2 for
// writable, 4 for an error or a peer that closed both ways. Asks again for patienceUs before it sleeps.
napi_value WaitPoller(const Napi::CallbackInfo& info) {
  Arguments args(info, "epoll_wait");
  int poller = args.Descriptor(0, "poller");
  std::span<double> out = args.Doubles(1, "out");
  int timeout_ms = static_cast<int>(args.Integer(2, "timeoutMs", 0, kMaxTimeoutMs));
  uint64_t patience_us = args.Integer(3, "patienceUs", 0, kMaxPatienceUs);
  if (!args.ok()) return args.Undefined();
  int room = static_cast<int>(std::min<size_t>(out.size() / 2, kMaxEvents));
  if (room == 0) return args.Fail(EINVAL, "epoll_wait: out has fewer than 2 elements");
  epoll_event events[kMaxEvents];
  int count = 0;
  if (patience_us > 0) {
    Patience patience(patience_us);
    do {
      count = epoll_wait(poller, events, room, 0);
    } while (count == 0 && patience.AskAgain());
  }
  if (count == 0 && (timeout_ms > 0 || patience_us == 0)) count = epoll_wait(poller, events, room, timeout_ms);
  if (count < 0) return errno == EINTR ? args.Result(0) : args.FailSystem(errno, ShowFd(poller));
  for (int index = 0; index < count; index++) {
    uint32_t ready = events[index].events;
    out[2 * index] = events[index].data.fd;
    out[2 * index + 1] = ((ready & EPOLLIN) != 0 ? 1 : 0) + ((ready & EPOLLOUT) != 0 ? 2 : 0) +
                         ((ready & (EPOLLERR | EPOLLHUP)) != 0 ? 4 : 0);
  }
  return args.Result(count);
}

napi_value CreateEvent(const Napi::CallbackInfo& info) {
  Arguments args(info, "eventfd");
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd >= 0 ? args.Result(fd) : args.FailSystem(errno, "no arguments");
}

// signalEvent(fd): from now on the event is readable.
napi_value SignalEvent(const Napi::CallbackInfo& info) {
  Arguments args(info, "write");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  uint64_t one = 1;
  // EAGAIN: it has been signalled more than often enough.
  if (write(fd, &one, sizeof one) == sizeof one || errno == EAGAIN) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd));
}

// clearEvent(fd): no longer readable, until it is signalled again.
napi_value ClearEvent(const Napi::CallbackInfo& info) {
  Arguments args(info, "read");
  int fd = args.Descriptor(0, "fd");
  if (!args.ok()) return args.Undefined();
  uint64_t count;
  if (read(fd, &count, sizeof count) == sizeof count || errno == EAGAIN) return args.Undefined();
  return args.FailSystem(errno, ShowFd(fd));
}

// socketPair(out): two connected, non-blocking stream sockets.
napi_value SocketPair(const Napi::CallbackInfo& info) {
  Arguments args(info, "socketpair");
  std::span<double> out = args.Doubles(0, "out");
  if (!args.ok()) return args.Undefined();
  if (out.size() < 2) return args.Fail(EINVAL, "socketpair: out has fewer than 2 elements");
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return args.FailSystem(errno, "no arguments");
  }
  for (int fd : fds) SetSendBuffer(fd);
  out[0] = fds[0];
  out[1] = fds[1];
  return args.Undefined();
}

}  // namespace

void ExportPoller(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<ListenUnix>("listenUnix"),
                Export<ListenTcp>("listenTcp"),
                Export<ListeningPort>("listeningPort"),
                Export<AcceptStream>("acceptStream"),
                Export<CreatePoller>("createPoller"),
                Export<SetInterest>("setInterest"),
                Export<RemoveInterest>("removeInterest"),
                Export<WaitPoller>("waitPoller"),
                Export<CreateEvent>("createEvent"),
                Export<SignalEvent>("signalEvent"),
                Export<ClearEvent>("clearEvent"),
                Export<SocketPair>("socketPair"),
            });
}

}  // namespace pinfold
