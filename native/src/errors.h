// Errors that a caller of the addon sees: objects of the class NativeError, which native/errors.ts hands in at load.
#ifndef PINFOLD_NATIVE_ERRORS_H_
#define PINFOLD_NATIVE_ERRORS_H_

#include <napi.h>

#include <string>

namespace pinfold {

// What one JavaScript thread (environment) has of its own; freed by Node when the environment ends.
struct PerEnvironment {
  Napi::FunctionReference native_error;
};

// new NativeError(code, call, message), or null while the environment is being terminated.
napi_value MakeError(napi_env env, int error, const char* call, const std::string& message);

// Throws a NativeError with the given message. Does nothing while the environment is being terminated: nobody would
// catch it. Returns null, so that a callback can `return Throw(...)`.
napi_value Throw(napi_env env, int error, const char* call, const std::string& message);

// Throws for a system call that failed: "<call>: <text of the error> (<detail>)".
napi_value ThrowSystem(napi_env env, int error, const char* call, const std::string& detail);

// The message ThrowSystem uses.
std::string SystemMessage(int error, const char* call, const std::string& detail);

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_ERRORS_H_
