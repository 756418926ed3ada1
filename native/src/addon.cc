// Entry of the addon: runs once in each JavaScript thread that loads it.
#include <napi.h>

#include "arguments.h"
#include "modules.h"
#include "shared_buffer.h"

namespace pinfold {

namespace {

// builtForModules(): the process.versions.modules this was compiled for.
napi_value GetBuiltForModules(const Napi::CallbackInfo& info) {
  return Arguments(info, "builtForModules").Result(BuiltForModules());
}

// setErrorClass(NativeError): the class of all errors thrown from here on in this thread.
napi_value SetErrorClass(const Napi::CallbackInfo& info) {
  if (info[0].IsFunction()) {
    info.Env().GetInstanceData<PerEnvironment>()->native_error = Napi::Persistent(info[0].As<Napi::Function>());
  }
  return nullptr;
}

Napi::Object Initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new PerEnvironment());
  ExportAll(env, exports, {Export<GetBuiltForModules>("builtForModules"), Export<SetErrorClass>("setErrorClass")});
  ExportArena(env, exports);
  ExportFiles(env, exports);
  ExportMemory(env, exports);
  ExportPoller(env, exports);
  ExportReceive(env, exports);
  ExportSockets(env, exports);
  ExportStream(env, exports);
  ExportThreads(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(pinfold, Initialise)

}  // namespace pinfold
