#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/shared_store.h"
#include "redis/bell_medium.h"

namespace everyonce::simulation {

// One process's subscriptions at the shared store: what is said to them is lost, comes late or twice, as chance will.
class SharedMedium final : public BellMedium {
 public:
  SharedMedium(SharedStore* store, uint32_t process) : store_(store), process_(process) { store->Listen(this); }
  ~SharedMedium() override { store_->Leave(this); }
  uint32_t process() const { return process_; }

  void Listen(BellMedium::Said said, Began began) override {
    said_ = std::move(said);
    began_ = std::move(began);
  }
  void Subscribe(uint32_t channel) override;
  void Unsubscribe(uint32_t channel) override;
  size_t active() const override { return active_.size(); }
  void Publish(uint32_t channel, std::string payload, std::function<void(bool ok)> done) override;
  void Heads(const std::vector<std::string>& convs, Relay::HeadsDone done) override;
  void People(const std::vector<std::pair<std::string, std::string>>& devices, Relay::PeopleDone done) override;
  void Close() override {}

  // Something was published.
  void Said(uint32_t channel, const std::string& payload);
  // Its subscriptions are cut, and made again when that can be.
  void Lose();

 private:
  void BeginSoon(uint32_t channel);

  SharedStore* store_;
  uint32_t process_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  BellMedium::Said said_;
  Began began_;
  std::set<uint32_t> wanted_;
  std::set<uint32_t> active_;
  std::set<uint32_t> before_;  // had begun before
};

}  // namespace everyonce::simulation
