// CRC-32C with the instruction of the processor where there is one, else with tables, eight bytes a turn.
#include "crc32c.h"

#include <array>
#include <cstring>

namespace pinfold {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

template <size_t count>
using Tables = std::array<std::array<uint32_t, 256>, count>;

constexpr Tables<8> MakeByteTables() {
  Tables<8> tables{};
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

constexpr Tables<8> kByteTables = MakeByteTables();

uint64_t LoadWord(const uint8_t* data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return word;
}

#if defined(__x86_64__)

// The instruction takes three cycles, but three of them run at once if none waits for another: so three neighbouring
// blocks are summed side by side. Three blocks and 16 bytes make a page.
constexpr size_t kBlockBytes = 1360;

// What kBlockBytes zero bytes make of a checksum. It is linear: each byte of the checksum has a table of its own.
constexpr Tables<4> MakeSkipTables() {
  Tables<4> tables{};
  for (uint32_t bit = 0; bit < 32; bit++) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t byte = 0; byte < kBlockBytes; byte++) crc = (crc >> 8) ^ kByteTables[0][crc & 0xff];
    for (uint32_t byte = 0; byte < 256; byte++) {
      if ((byte >> (bit % 8) & 1) != 0) tables[bit / 8][byte] ^= crc;
    }
  }
  return tables;
}

constexpr Tables<4> kSkipTables = MakeSkipTables();

uint32_t SkipBlock(uint32_t crc) {
  return kSkipTables[0][crc & 0xff] ^ kSkipTables[1][crc >> 8 & 0xff] ^ kSkipTables[2][crc >> 16 & 0xff] ^
         kSkipTables[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t WithInstruction(uint32_t crc, const uint8_t* data, size_t length) {
  for (; length >= 3 * kBlockBytes; data += 3 * kBlockBytes, length -= 3 * kBlockBytes) {
    uint64_t first = crc, second = 0, third = 0;
    for (size_t at = 0; at < kBlockBytes; at += 8) {
      first = __builtin_ia32_crc32di(first, LoadWord(data + at));
      second = __builtin_ia32_crc32di(second, LoadWord(data + kBlockBytes + at));
      third = __builtin_ia32_crc32di(third, LoadWord(data + 2 * kBlockBytes + at));
    }
    crc = SkipBlock(SkipBlock(static_cast<uint32_t>(first)) ^ static_cast<uint32_t>(second)) ^
          static_cast<uint32_t>(third);
  }
  uint64_t wide = crc;
  for (; length >= 8; data += 8, length -= 8) wide = __builtin_ia32_crc32di(wide, LoadWord(data));
  crc = static_cast<uint32_t>(wide);
  for (; length > 0; data++, length--) crc = __builtin_ia32_crc32qi(crc, *data);
  return crc;
}

const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;

#endif

uint32_t WithTables(uint32_t crc, const uint8_t* data, size_t length) {
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word = LoadWord(data);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    word ^= crc;
    crc = 0;
    for (size_t byte = 0; byte < 8; byte++) crc ^= kByteTables[7 - byte][word >> (8 * byte) & 0xff];
  }
  for (; length > 0; data++, length--) crc = (crc >> 8) ^ kByteTables[0][(crc ^ *data) & 0xff];
  return crc;
}

}  // namespace

uint32_t Crc32c(uint32_t seed, const uint8_t* data, size_t length) {
#if defined(__x86_64__)
  if (kHasInstruction) return ~WithInstruction(~seed, data, length);
#endif
  return ~WithTables(~seed, data, length);
}

uint32_t Crc32cWithTables(uint32_t seed, const uint8_t* data, size_t length) {
  return ~WithTables(~seed, data, length);
}

}  // namespace pinfold
