#include "store/shared_store.h"

#include <unistd.h>

#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>

#include "log/generation.h"
#include "log/memory_kv.h"

namespace everyonce {
namespace {

// Held while a store is opened or closed; `registry_changed` tells who found one that is about to be closed that it is,
// so that nobody finds it locked by a user of before.
std::mutex registry_mutex;
std::condition_variable registry_changed;

std::map<std::string, std::weak_ptr<SharedStore>>& Registry() {
  static auto* const stores = new std::map<std::string, std::weak_ptr<SharedStore>>();  // outlives every thread
  return *stores;
}

// Empty where it does not exist.
std::string RealPath(const std::string& dir) {
  char path[PATH_MAX];
  return ::realpath(dir.c_str(), path) != nullptr ? std::string(path) : std::string();
}

// A copy may lack what was acked and given out after it was made: nobody uses it before its new generation is durable.
Status BeginAnew(RocksKv* rocks) {
  using std::chrono::milliseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::random_device random;
  Status status = BeginGeneration(rocks, std::chrono::duration_cast<milliseconds>(now).count(), random());
  if (status.ok() && rocks->restored()) status = rocks->ForgetRestored();
  return status;
}

}  // namespace

SharedStore::SharedStore(std::unique_ptr<Kv> kv, RocksKv* rocks, std::string dir, bool exclusive_writes)
    : dir_(std::move(dir)), rocks_(rocks), shared_(std::make_shared<SharedKv>(std::move(kv), exclusive_writes)) {}

SharedStore::~SharedStore() { thread_.reset(); }

Status SharedStore::Open(const std::string& dir, bool restored, std::shared_ptr<SharedStore>* store) {
  std::unique_lock lock(registry_mutex);
  for (auto known = Registry().find(RealPath(dir)); known != Registry().end(); known = Registry().find(RealPath(dir))) {
    std::shared_ptr<SharedStore> open = known->second.lock();
    if (open == nullptr) {
      registry_changed.wait(lock);
      continue;
    }
    if (!restored) {
      *store = std::move(open);
      return Status::Ok();
    }
    lock.unlock();  // `open` may be the last to go
    return Status::Error(Code::kStoreLocked,
                         dir + " is open in this process already: open it with `restored` before anything else does");
  }
  std::unique_ptr<RocksKv> rocks;
  Status status = RocksKv::Open({.dir = dir}, &rocks);
  if (status.ok() && (restored || rocks->restored())) status = BeginAnew(rocks.get());
  if (!status.ok()) return status;
  RocksKv* const raw = rocks.get();
  const std::string path = RealPath(dir);
  const auto close = [path](SharedStore* closing) {
    const std::lock_guard closing_lock(registry_mutex);
    delete closing;
    Registry().erase(path);
    registry_changed.notify_all();
  };
  *store = std::shared_ptr<SharedStore>(new SharedStore(std::move(rocks), raw, path, false), close);
  Registry()[path] = *store;
  return status;
}

std::shared_ptr<SharedStore> SharedStore::InMemory() { return On(std::make_unique<MemoryKv>(), true); }

std::shared_ptr<SharedStore> SharedStore::OfProcess() {
  static std::weak_ptr<SharedStore> shared;
  const std::lock_guard lock(registry_mutex);
  std::shared_ptr<SharedStore> store = shared.lock();
  if (store == nullptr) shared = store = InMemory();
  return store;
}

std::shared_ptr<SharedStore> SharedStore::On(std::unique_ptr<Kv> kv, bool exclusive_writes) {
  return std::shared_ptr<SharedStore>(new SharedStore(std::move(kv), nullptr, "", exclusive_writes));
}

Status SharedStore::OpenForLog(bool fsync, std::unique_ptr<Kv>* kv) {
  const std::lock_guard lock(mutex_);
  if (!log_.expired()) {
    return Status::Error(Code::kStoreLocked, dir_ + " is open in this process (" + std::to_string(::getpid()) +
                                                 "); close it first or choose another data directory");
  }
  // The log's own word beside the store, so that it can be told when the handle goes.
  const auto owner = std::make_shared<std::shared_ptr<SharedStore>>(shared_from_this());
  log_ = owner;
  *kv = SharedKv::Open(shared_, fsync, owner);
  return Status::Ok();
}

StoreThread& SharedStore::thread() {
  const std::lock_guard lock(mutex_);
  if (thread_ == nullptr) thread_ = std::make_unique<StoreThread>(SharedKv::Open(shared_, true));
  return *thread_;
}

Status SharedStore::Checkpoint(const std::string& to) {
  if (rocks_ == nullptr) return Status::Error(Code::kUnsupported, "a store in memory has no backup");
  return shared_->With([&](Kv*) { return rocks_->Checkpoint(to); });
}

}  // namespace everyonce
