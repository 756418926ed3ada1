// CRC-32C with the processor's instruction where there is one, else with tables (eight bytes a turn).
#include "crc32c.h"

#include <array>
#include <cstring>

namespace pinfold {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t table = 1; table < 8; table++) {
    for (size_t byte = 0; byte < 256; byte++) {
      uint32_t before = tables[table - 1][byte];
      tables[table][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint32_t WithTables(uint32_t crc, const uint8_t* data, size_t length) {
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    word ^= crc;
    crc = 0;
    for (size_t byte = 0; byte < 8; byte++) crc ^= kTables[7 - byte][(word >> (8 * byte)) & 0xff];
  }
  for (; length > 0; data++, length--) crc = (crc >> 8) ^ kTables[0][(crc ^ *data) & 0xff];
  return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) uint32_t WithInstruction(uint32_t crc, const uint8_t* data, size_t length) {
  uint64_t wide = crc;
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; length > 0; data++, length--) crc = __builtin_ia32_crc32qi(crc, *data);
  return crc;
}

const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;

#endif

}  // namespace

uint32_t Crc32c(uint32_t seed, const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (kHasInstruction) return ~WithInstruction(~seed, data, length);
#endif
  return ~WithTables(~seed, data, length);
}

}  // namespace pinfold
