// Receiving descriptors without a thread that blocks: the wait is a uv_poll on the event loop of the caller. A job in
// Node's thread pool would hold up the end of its worker until it returned, and cannot be told to hurry: Node waits for
// jobs before it runs cleanup hooks.
//
//   pending --bytes, end or error--> settled --both handles closed--> freed
//      `-------timeout------------------^            ^
//      `-------environment ends (nobody is told)-----'
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "arguments.h"
#include "modules.h"
#include "sockets.h"

namespace pinfold {

namespace {

struct Receive {
  napi_env env = nullptr;
  int fd = -1;  // a duplicate: the caller may close the descriptor it gave
  std::vector<uint8_t> buffer;
  uint64_t timeout_ms = 0;
  napi_deferred deferred = nullptr;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  uv_poll_t poll{};
  uv_timer_t timer{};
  int open_handles = 0;
  bool closing = false;
};

struct Message {
  ssize_t bytes = -1;
  int error = 0;
  int fds[kMaxDescriptors];
  size_t fd_count = 0;
};

void OnClosed(uv_handle_t* handle) {
  auto* receive = static_cast<Receive*>(handle->data);
  if (--receive->open_handles > 0) return;
  close(receive->fd);
  if (receive->context != nullptr) napi_async_destroy(receive->env, receive->context);
  // Tells an environment that is ending that it need not wait for this one any more.
  if (receive->cleanup != nullptr) napi_remove_async_cleanup_hook(receive->cleanup);
  delete receive;
}

void Close(Receive* receive) {
  if (receive->closing) return;
  receive->closing = true;
  uv_close(reinterpret_cast<uv_handle_t*>(&receive->poll), OnClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&receive->timer), OnClosed);
}

void CloseAll(const Message& message) {
  for (size_t index = 0; index < message.fd_count; index++) close(message.fds[index]);
}

// Takes what the socket holds now.
Message TakeMessage(Receive* receive) {
  Message result;
  DescriptorControl control{};
  iovec vec{receive->buffer.data(), receive->buffer.size()};
  msghdr message{};
  message.msg_iov = &vec;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  do {
    result.bytes = recvmsg(receive->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (result.bytes < 0 && errno == EINTR);
  if (result.bytes < 0) {
    result.error = errno;
    return result;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(result.fds, CMSG_DATA(header), count * sizeof(int));  // at most what fits into `control`
    result.fd_count = count;
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    CloseAll(result);
    result.fd_count = 0;
    result.error = EMSGSIZE;
  }
  return result;
}

// { data: Uint8Array, fds: number[] }, or null if the environment is being terminated.
napi_value ToObject(napi_env env, const std::vector<uint8_t>& buffer, const Message& message) {
  auto length = static_cast<size_t>(message.bytes);
  napi_value object, data, array_buffer, fds;
  void* bytes = nullptr;
  if (napi_create_object(env, &object) != napi_ok ||
      napi_create_arraybuffer(env, length, &bytes, &array_buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, length, array_buffer, 0, &data) != napi_ok ||
      napi_set_named_property(env, object, "data", data) != napi_ok || napi_create_array(env, &fds) != napi_ok ||
      napi_set_named_property(env, object, "fds", fds) != napi_ok) {
    return nullptr;
  }
  if (length > 0) memcpy(bytes, buffer.data(), length);
  for (uint32_t index = 0; index < message.fd_count; index++) {
    napi_value fd;
    if (napi_create_int32(env, message.fds[index], &fd) != napi_ok ||
        napi_set_element(env, fds, index, fd) != napi_ok) {
      return nullptr;
    }
  }
  return object;
}

void Settle(Receive* receive, const Message& message) {
  napi_env env = receive->env;
  napi_handle_scope handles;
  napi_callback_scope callbacks = nullptr;  // its end runs what awaits the promise
  napi_open_handle_scope(env, &handles);
  napi_open_callback_scope(env, nullptr, receive->context, &callbacks);
  bool delivered = false;
  if (message.error == 0) {
    napi_value object = ToObject(env, receive->buffer, message);
    delivered = object != nullptr && napi_resolve_deferred(env, receive->deferred, object) == napi_ok;
  } else {
    std::string detail = message.error == EMSGSIZE
                             ? "more than " + std::to_string(kMaxDescriptors) + " descriptors came"
                             : "waited at most " + std::to_string(receive->timeout_ms) + " ms";
    napi_value error = MakeError(env, message.error, "recvmsg", SystemMessage(message.error, "recvmsg", detail));
    if (error != nullptr) napi_reject_deferred(env, receive->deferred, error);
  }
  if (!delivered) CloseAll(message);
  // From here on code that awaited the promise may run; it cannot reach `receive`.
  Close(receive);
  if (callbacks != nullptr) napi_close_callback_scope(env, callbacks);
  napi_close_handle_scope(env, handles);
}

void Attempt(Receive* receive, bool timed_out) {
  if (receive->closing) return;
  Message message = TakeMessage(receive);
  if (message.error == EAGAIN) {
    if (!timed_out) return;
    message.error = ETIMEDOUT;
  }
  Settle(receive, message);
}

void OnReadable(uv_poll_t* poll, int /*status*/, int /*events*/) { Attempt(static_cast<Receive*>(poll->data), false); }

void OnTimeout(uv_timer_t* timer) { Attempt(static_cast<Receive*>(timer->data), true); }

void OnEnvironmentEnd(napi_async_cleanup_hook_handle /*handle*/, void* data) { Close(static_cast<Receive*>(data)); }

// Starts to wait; returns the promise, or null if the environment is being terminated.
napi_value Start(Receive* receive, uv_loop_t* loop) {
  napi_env env = receive->env;
  napi_value promise, name;
  if (napi_create_string_utf8(env, "pinfold:receiveDescriptors", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, nullptr, name, &receive->context) != napi_ok ||
      napi_add_async_cleanup_hook(env, OnEnvironmentEnd, receive, &receive->cleanup) != napi_ok ||
      napi_create_promise(env, &receive->deferred, &promise) != napi_ok) {
    return nullptr;
  }
  uv_update_time(loop);  // else a loop that was busy would let the timer run out early
  if (uv_timer_start(&receive->timer, OnTimeout, receive->timeout_ms, 0) != 0 ||
      uv_poll_start(&receive->poll, UV_READABLE | UV_DISCONNECT, OnReadable) != 0) {
    return nullptr;
  }
  return promise;
}

// receiveDescriptors(fd, maxBytes, timeoutMs): promise
napi_value ReceiveDescriptors(const Napi::CallbackInfo& info) {
  Arguments args(info, "recvmsg");
  int fd = args.Descriptor(0, "socketFd");
  uint64_t max_bytes = args.Integer(1, "maxBytes", 1, kMaxMessageBytes);
  uint64_t timeout_ms = args.Integer(2, "timeoutMs", 0, INT32_MAX);
  if (!args.ok()) return args.Undefined();
  int type;
  socklen_t length = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) {
    return args.FailSystem(errno, "fd " + std::to_string(fd));
  }
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(args.env(), &loop) != napi_ok) return args.Undefined();

  auto receive = std::make_unique<Receive>();
  receive->env = args.env();
  receive->buffer.resize(max_bytes);
  receive->timeout_ms = timeout_ms;
  receive->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (receive->fd < 0) return args.FailSystem(errno, "fd " + std::to_string(fd));
  int status = uv_poll_init(loop, &receive->poll, receive->fd);
  if (status != 0) {
    close(receive->fd);
    return args.FailSystem(-status, "fd " + std::to_string(fd));
  }
  uv_timer_init(loop, &receive->timer);
  receive->poll.data = receive->timer.data = receive.get();
  receive->open_handles = 2;
  Receive* owned = receive.release();  // OnClosed frees it
  napi_value promise = Start(owned, loop);
  if (promise == nullptr) Close(owned);
  return promise;
}

}  // namespace

void ExportReceive(napi_env env, napi_value exports) {
  ExportAll(env, exports, {Export<ReceiveDescriptors>("receiveDescriptors")});
}

}  // namespace pinfold
