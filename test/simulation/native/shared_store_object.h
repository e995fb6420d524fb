#pragma once

#include <napi.h>

#include <memory>

#include "native/shared_store.h"

namespace everyonce::simulation {

// Exports SharedStore: the store that several Simulation objects share.
void DefineSharedStore(Napi::Env env, Napi::Object exports);
// Of one of them.
std::shared_ptr<SharedStore> SharedStoreOf(const Napi::Object& object);

}  // namespace everyonce::simulation
