// The one thing Node-API cannot do: make a SharedArrayBuffer over memory that is mapped already.
#ifndef PINFOLD_NATIVE_SHARED_BUFFER_H_
#define PINFOLD_NATIVE_SHARED_BUFFER_H_

#include <node_api.h>

#include <cstddef>

namespace pinfold {

// A SharedArrayBuffer over [base, base + length), which munmap()s that range when the last thread drops it. Takes the
// mapping over. Must be called on the thread of `env`, inside a callback.
napi_value WrapMapping(napi_env env, void* base, size_t length);

// NODE_MODULE_VERSION of the headers this was compiled with: raw V8 calls bind the addon to it.
int BuiltForModules();

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_SHARED_BUFFER_H_
