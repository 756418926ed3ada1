// Checked reading of arguments, with the plain C calls: their status says what is wrong without throwing by itself.
#include "arguments.h"

#include <cerrno>
#include <charconv>
#include <climits>
#include <cmath>

namespace pinfold {

namespace {

const char* TypeName(napi_valuetype type) {
  switch (type) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_object: return "an object";
    case napi_function: return "a function";
    case napi_external: return "an external";
    case napi_bigint: return "a bigint";
  }
  return "unknown";
}

}  // namespace

std::string ShowNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string Arguments::Show(size_t index) const {
  double number;
  if (napi_get_value_double(env_, info_[index], &number) == napi_ok) return ShowNumber(number);
  napi_valuetype type = napi_undefined;
  napi_typeof(env_, info_[index], &type);
  return TypeName(type);
}

void Arguments::Wrong(int error, size_t index, const char* name, const std::string& expected) {
  Fail(error, std::string(call_) + ": " + name + " is " + Show(index) + ", expected " + expected);
}

napi_value Arguments::Fail(int error, const std::string& message) {
  ok_ = false;
  return Throw(env_, error, call_, message);
}

napi_value Arguments::FailSystem(int error, const std::string& detail) {
  ok_ = false;
  return ThrowSystem(env_, error, call_, detail);
}

napi_value Arguments::Result(double value) const {
  napi_value result = nullptr;
  napi_create_double(env_, value, &result);
  return result;
}

int Arguments::Descriptor(size_t index, const char* name) {
  if (!ok_) return -1;
  double value;
  uint64_t descriptor;
  if (napi_get_value_double(env_, info_[index], &value) != napi_ok || !ToInteger(value, INT_MAX, &descriptor)) {
    Wrong(EBADF, index, name, "an open descriptor");
    return -1;
  }
  return static_cast<int>(descriptor);
}

uint64_t Arguments::Integer(size_t index, const char* name, uint64_t min, uint64_t max) {
  if (!ok_) return 0;
  double value;
  uint64_t result;
  if (napi_get_value_double(env_, info_[index], &value) != napi_ok || !ToInteger(value, max, &result) ||
      result < min) {
    Wrong(EINVAL, index, name, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return 0;
  }
  return result;
}

bool Arguments::Boolean(size_t index, const char* name) {
  if (!ok_) return false;
  bool value = false;
  if (napi_get_value_bool(env_, info_[index], &value) != napi_ok) Wrong(EINVAL, index, name, "a boolean");
  return value;
}

std::string Arguments::Text(size_t index, const char* name, size_t max_bytes) {
  if (!ok_) return {};
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, info_[index], nullptr, 0, &length) != napi_ok || length == 0) {
    Wrong(EINVAL, index, name, "a text that is not empty");
    return {};
  }
  if (length > max_bytes) {
    Fail(ENAMETOOLONG, std::string(call_) + ": " + name + " has " + std::to_string(length) + " bytes, at most " +
                           std::to_string(max_bytes) + " are possible");
    return {};
  }
  std::string result(length + 1, '\0');
  napi_get_value_string_utf8(env_, info_[index], result.data(), result.size(), &length);
  result.resize(length);
  if (result.find('\0') != std::string::npos) {
    Fail(EINVAL, std::string(call_) + ": " + name + " contains a NUL character");
    return {};
  }
  return result;
}

template <typename T>
std::span<T> Arguments::Elements(size_t index, const char* name, napi_typedarray_type wanted, const char* expected) {
  if (!ok_) return {};
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env_, info_[index], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    Wrong(EINVAL, index, name, expected);
    return {};
  }
  if (data == nullptr) length = 0;
  return {static_cast<T*>(data), length};
}

std::span<uint8_t> Arguments::Bytes(size_t index, const char* name) {
  return Elements<uint8_t>(index, name, napi_uint8_array, "a Uint8Array");
}

std::span<double> Arguments::Doubles(size_t index, const char* name) {
  return Elements<double>(index, name, napi_float64_array, "a Float64Array");
}

std::span<uint32_t> Arguments::Words(size_t index, const char* name) {
  return Elements<uint32_t>(index, name, napi_uint32_array, "a Uint32Array");
}

void* Arguments::External(size_t index, const char* name) {
  if (!ok_) return nullptr;
  void* data = nullptr;
  if (napi_get_value_external(env_, info_[index], &data) != napi_ok || data == nullptr) {
    Wrong(EINVAL, index, name, "a handle of this addon");
    return nullptr;
  }
  return data;
}

}  // namespace pinfold
