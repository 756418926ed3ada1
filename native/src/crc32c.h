// CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and btrfs.
#ifndef PINFOLD_NATIVE_CRC32C_H_
#define PINFOLD_NATIVE_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace pinfold {

// The checksum of `data` going on from `seed`, the checksum of what came before it (0 at the beginning).
uint32_t Crc32c(uint32_t seed, const uint8_t* data, size_t length);

// The same without the processor's instruction, so that it can be tested where there is one.
uint32_t Crc32cWithTables(uint32_t seed, const uint8_t* data, size_t length);

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_CRC32C_H_
