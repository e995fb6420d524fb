#include "native/shared_medium.h"

namespace everyonce::simulation {
namespace {

constexpr double kAgainMs = 200;  // between two attempts to subscribe, at most

}  // namespace

void SharedMedium::Subscribe(uint32_t channel) {
  if (wanted_.insert(channel).second) BeginSoon(channel);
}

void SharedMedium::Unsubscribe(uint32_t channel) {
  wanted_.erase(channel);
  active_.erase(channel);
}

void SharedMedium::BeginSoon(uint32_t channel) {
  const std::weak_ptr<bool> alive = alive_;
  store_->After(store_->chance().Share() * kAgainMs, [this, alive, channel] {
    if (alive.expired() || !wanted_.contains(channel) || active_.contains(channel)) return;
    if (!store_->Reachable(process_)) return BeginSoon(channel);
    active_.insert(channel);
    began_(channel, !before_.insert(channel).second);
  });
}

void SharedMedium::Lose() {
  active_.clear();
  for (const uint32_t channel : wanted_) BeginSoon(channel);
}

void SharedMedium::Said(uint32_t channel, const std::string& payload) {
  if (!active_.contains(channel) || !store_->Reachable(process_)) return;
  Chance& chance = store_->chance();
  const StoreFaults& faults = store_->faults;
  if (chance.Share() < faults.bell_lost) {
    ++store_->counters.bells_lost;
    return;
  }
  const bool repeated = chance.Share() < faults.bell_repeated;
  if (repeated) ++store_->counters.bells_repeated;
  const std::weak_ptr<bool> alive = alive_;
  for (int i = 0; i < (repeated ? 2 : 1); ++i) {
    const bool slow = chance.Share() < faults.bell_slow;
    if (slow) ++store_->counters.bells_slow;
    const double ms = chance.Share() * (slow ? 3'000 : faults.latency_ms);
    store_->After(ms, [this, alive, channel, payload] {
      if (!alive.expired() && active_.contains(channel)) said_(channel, payload);
    });
  }
}

void SharedMedium::Publish(uint32_t channel, std::string payload, std::function<void(bool ok)> done) {
  const std::weak_ptr<bool> alive = alive_;
  store_->Trip(
      process_, [store = store_, channel, payload = std::move(payload)] { store->Publish(channel, payload); },
      [alive, done = std::move(done)](bool ok) {
        if (!alive.expired()) done(ok);
      });
}

void SharedMedium::Heads(const std::vector<std::string>& convs, Relay::HeadsDone done) {
  const std::weak_ptr<bool> alive = alive_;
  auto heads = std::make_shared<std::vector<Relay::Head>>();
  store_->Trip(
      process_,
      [store = store_, convs, heads] {
        heads->clear();
        for (const std::string& conv : convs) heads->push_back(store->HeadOf(conv));
      },
      [alive, heads, done = std::move(done)](bool ok) {
        if (!alive.expired()) done(ok, ok ? *heads : std::vector<Relay::Head>());
      });
}

void SharedMedium::People(const std::vector<std::pair<std::string, std::string>>& devices, Relay::PeopleDone done) {
  const std::weak_ptr<bool> alive = alive_;
  auto people = std::make_shared<std::vector<Relay::Person>>();
  store_->Trip(
      process_,
      [store = store_, devices, people] {
        people->clear();
        for (const auto& [user, device] : devices) people->push_back(store->PersonOf(user, device));
      },
      [alive, people, done = std::move(done)](bool ok) {
        if (!alive.expired()) done(ok, ok ? *people : std::vector<Relay::Person>());
      });
}

}  // namespace everyonce::simulation
