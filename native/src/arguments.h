// Checked reading of the arguments of one call: the first wrong one throws a NativeError that names it.
#ifndef PINFOLD_NATIVE_ARGUMENTS_H_
#define PINFOLD_NATIVE_ARGUMENTS_H_

#include <cstdint>
#include <span>
#include <string>

#include "errors.h"

namespace pinfold {

// The largest integer that a JavaScript number holds exactly: the bound of every offset and length.
constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

// Stores an exact non-negative integer of at most `max` and says whether `value` was one.
inline bool ToInteger(double value, uint64_t max, uint64_t* result) {
  if (!(value >= 0 && value <= static_cast<double>(kMaxSafeInteger))) return false;  // also refuses NaN
  *result = static_cast<uint64_t>(value);
  return static_cast<double>(*result) == value && *result <= max;
}

// "3.5", "-1", "NaN": a number as an error message shows it.
std::string ShowNumber(double value);

// Usage: read everything, then `if (!args.ok()) return args.Result();`. After a failure further reads return zeroes.
class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, const char* call) : info_(info), env_(info.Env()), call_(call) {}

  bool ok() const { return ok_; }
  napi_env env() const { return env_; }
  const char* call() const { return call_; }
  napi_value operator[](size_t index) const { return info_[index]; }

  // A descriptor number; anything that cannot be one is EBADF.
  int Descriptor(size_t index, const char* name);
  uint64_t Integer(size_t index, const char* name, uint64_t min, uint64_t max);
  uint64_t Offset(size_t index, const char* name) { return Integer(index, name, 0, kMaxSafeInteger); }
  bool Boolean(size_t index, const char* name);
  // At most max_bytes of UTF-8 without NUL, not empty.
  std::string Text(size_t index, const char* name, size_t max_bytes);
  // The bytes of a Uint8Array, over an ArrayBuffer or a SharedArrayBuffer. Valid during this call only.
  std::span<uint8_t> Bytes(size_t index, const char* name);
  // The elements of a Float64Array. Other threads may be changing them: read each once.
  std::span<double> Doubles(size_t index, const char* name);
  // The elements of a Uint32Array, as Doubles().
  std::span<uint32_t> Words(size_t index, const char* name);
  // The pointer inside an external value made by this addon.
  void* External(size_t index, const char* name);

  // Throws a NativeError for this call.
  napi_value Fail(int error, const std::string& message);
  napi_value FailSystem(int error, const std::string& detail);

  napi_value Undefined() const { return nullptr; }
  napi_value Result(double value) const;

 private:
  template <typename T>
  std::span<T> Elements(size_t index, const char* name, napi_typedarray_type wanted, const char* expected);
  void Wrong(int error, size_t index, const char* name, const std::string& expected);
  std::string Show(size_t index) const;

  const Napi::CallbackInfo& info_;
  napi_env env_;
  const char* call_;
  bool ok_ = true;
};

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_ARGUMENTS_H_
