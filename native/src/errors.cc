// Builds and throws NativeError objects without ever calling what could abort in an environment that is going away.
#include "errors.h"

#include <uv.h>

namespace pinfold {

napi_value MakeError(napi_env env, int error, const char* call, const std::string& message) {
  auto* state = Napi::Env(env).GetInstanceData<PerEnvironment>();
  if (state == nullptr || state->native_error.IsEmpty()) return nullptr;
  char code[64];
  uv_err_name_r(-error, code, sizeof code);
  napi_value arguments[3];
  if (napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &arguments[0]) != napi_ok ||
      napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &arguments[1]) != napi_ok ||
      napi_create_string_utf8(env, message.data(), message.size(), &arguments[2]) != napi_ok) {
    return nullptr;
  }
  napi_value constructor = state->native_error.Value();
  napi_value result = nullptr;
  if (napi_new_instance(env, constructor, 3, arguments, &result) != napi_ok) return nullptr;
  return result;
}

napi_value Throw(napi_env env, int error, const char* call, const std::string& message) {
  napi_value value = MakeError(env, error, call, message);
  if (value != nullptr) napi_throw(env, value);  // a failure means termination: the exception has no receiver
  return nullptr;
}

std::string SystemMessage(int error, const char* call, const std::string& detail) {
  char text[128];
  uv_strerror_r(-error, text, sizeof text);
  return std::string(call) + ": " + text + " (" + detail + ")";
}

napi_value ThrowSystem(napi_env env, int error, const char* call, const std::string& detail) {
  return Throw(env, error, call, SystemMessage(error, call, detail));
}

}  // namespace pinfold
