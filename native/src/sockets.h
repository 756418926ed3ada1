// Bounds of a message that carries descriptors, for both of its ends.
#ifndef PINFOLD_NATIVE_SOCKETS_H_
#define PINFOLD_NATIVE_SOCKETS_H_

#include <sys/socket.h>

#include <cstddef>

namespace pinfold {

constexpr size_t kMaxDescriptors = 8;
constexpr size_t kMaxMessageBytes = 64 * 1024;

// Room for the control message that carries kMaxDescriptors descriptors.
union DescriptorControl {
  cmsghdr header;  // aligns the bytes
  char bytes[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
};

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_SOCKETS_H_
