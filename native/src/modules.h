// The parts of the addon; each adds its functions to the exports object.
#ifndef PINFOLD_NATIVE_MODULES_H_
#define PINFOLD_NATIVE_MODULES_H_

#include <napi.h>

#include <initializer_list>

namespace pinfold {

void ExportArena(napi_env env, napi_value exports);
void ExportFiles(napi_env env, napi_value exports);
void ExportMemory(napi_env env, napi_value exports);
void ExportPoller(napi_env env, napi_value exports);
void ExportReceive(napi_env env, napi_value exports);
void ExportSockets(napi_env env, napi_value exports);
void ExportStream(napi_env env, napi_value exports);
void ExportThreads(napi_env env, napi_value exports);

using Callback = napi_value (*)(const Napi::CallbackInfo& info);

template <Callback callback>
napi_value Trampoline(napi_env env, napi_callback_info raw) {
  return callback(Napi::CallbackInfo(env, raw));
}

// One entry for ExportAll: exports[name] = callback.
template <Callback callback>
napi_property_descriptor Export(const char* name) {
  return {name, nullptr, Trampoline<callback>, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

// Fails only in a worker that is being terminated while it loads the addon, which then never sees the exports.
inline void ExportAll(napi_env env, napi_value exports, std::initializer_list<napi_property_descriptor> functions) {
  napi_define_properties(env, exports, functions.size(), functions.begin());
}

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_MODULES_H_
