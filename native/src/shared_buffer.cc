// SharedArrayBuffer over a mapping, with raw V8 calls. They are bound to one major version of Node, so nothing else may
// be in this file, and native/addon.ts refuses an addon that was built for another version.
#include "shared_buffer.h"

#include <node_version.h>
#include <sys/mman.h>
#include <v8.h>

#include <cstring>
#include <memory>
#include <utility>

namespace pinfold {

namespace {

// Runs on whatever thread drops the last reference, perhaps after the environment that mapped it is gone.
void Unmap(void* data, size_t length, void* /*deleter_data*/) { munmap(data, length); }

}  // namespace

napi_value WrapMapping(napi_env /*env*/, void* base, size_t length) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  std::shared_ptr<v8::BackingStore> store = v8::SharedArrayBuffer::NewBackingStore(base, length, Unmap, nullptr);
  v8::Local<v8::SharedArrayBuffer> buffer = v8::SharedArrayBuffer::New(isolate, std::move(store));
  // A napi_value is a v8::Local by another name.
  static_assert(sizeof buffer == sizeof(napi_value));
  napi_value result;
  memcpy(&result, &buffer, sizeof result);
  return result;
}

int BuiltForModules() { return NODE_MODULE_VERSION; }

}  // namespace pinfold
