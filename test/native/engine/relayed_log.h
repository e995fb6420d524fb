#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/identifiers.h"
#include "log/log.h"
#include "log/relay.h"

namespace everyonce {

// One log under several engines, and the bells between them, which come as the test wants: at once, later, or never.
class RelayedStore {
 public:
  explicit RelayedStore(std::unique_ptr<Log> opened) : log(std::move(opened)) {}

  class Port;
  std::unique_ptr<Log> log;
  std::vector<Port*> ports;
  bool held = false;     // bells wait for Release
  bool dropped = false;  // bells are lost
  bool down = false;     // positions can't be read
  int64_t hellos = 0;
  std::map<std::pair<std::string, std::string>, int64_t> hello_of;
  std::deque<std::pair<Port*, Bell>> waiting;
  // Scripted histories: what becomes of positions, and where conversations stand. Empty: the log's own.
  std::map<std::string, ResumeView> histories;
  bool older = false;  // those are old answers: who asks what became of a position is told by the log itself

  void Release();
};

class RelayedStore::Port final : public Relay {
 public:
  static constexpr uint32_t kChannels = 16;
  explicit Port(RelayedStore* store) : store_(store), watched_(kChannels) { store->ports.push_back(this); }
  ~Port() override { std::erase(store_->ports, this); }

  uint32_t channels() const override { return kChannels; }
  uint32_t ChannelOf(std::string_view name) const override {
    return static_cast<uint32_t>(std::hash<std::string_view>()(name) % kChannels);
  }
  void Watch(uint32_t channel) override {
    if (++watched_[channel] == 1 && unsure_) unsure_(channel);
  }
  void Unwatch(uint32_t channel) override { --watched_[channel]; }
  void Tell(uint32_t channel, const Bell& bell) override { told_.emplace_back(channel, bell); }
  void Send() override {
    for (auto& [channel, bell] : std::exchange(told_, {})) {
      ++rung;
      for (Port* port : store_->ports) {
        if (port == this || port->watched_[channel] == 0 || store_->dropped) continue;
        // Who listens knows of the members what was asked for there.
        Bell heard = bell;
        heard.version = "1";
        if (bell.kind == Bell::Kind::kMessage && !IsDirect(bell.conv)) heard.audience = nullptr;
        if (store_->held) {
          store_->waiting.emplace_back(port, std::move(heard));
        } else {
          port->Hear(std::move(heard));
        }
      }
    }
  }
  void Hear(Bell bell) {
    if (bell.kind == Bell::Kind::kMessage) (void)Resolve(&bell);
    std::vector<Bell> bells;
    bells.push_back(std::move(bell));
    if (heard_) heard_(std::move(bells));
  }
  void Listen(Heard heard, Unsure unsure) override {
    heard_ = std::move(heard);
    unsure_ = std::move(unsure);
  }
  bool Resolve(Bell* bell) override {
    if (!IsDirect(bell->conv) && !known.contains(bell->conv)) return false;
    store_->log->MembersOf(bell->conv, [&](const Status&, const std::shared_ptr<const MemberList>& members) {
      auto all = std::make_shared<MemberList>(*members);
      all->insert(all->end(), bell->removed.begin(), bell->removed.end());
      std::sort(all->begin(), all->end());
      bell->audience = all;
    });
    return true;
  }
  void Heads(const std::vector<std::string>& convs, HeadsDone done) override {
    if (store_->down) return done(false, {});
    std::vector<Head> heads;
    for (const std::string& conv : convs) {
      Head head;
      store_->log->History({.conv = conv, .limit = 1}, [&](const Status& status, const HistoryPage& page) {
        if (status.ok() && !page.items.empty()) head = {page.items[0].message.epoch, page.items[0].message.seq};
      });
      const auto scripted = store_->histories.find(conv);
      if (scripted != store_->histories.end()) head = {scripted->second.view.epoch, scripted->second.view.head};
      heads.push_back(head);
    }
    done(true, heads);
  }
  void People(const std::vector<std::pair<std::string, std::string>>& devices, PeopleDone done) override {
    if (store_->down) return done(false, {});
    std::vector<Person> people;
    for (const auto& device : devices) {
      Person person{store_->hello_of[device], 0};
      store_->log->Views(device.first, {}, {}, 1000,
                         [&](const Status&, const std::vector<ConversationView>& views, bool) {
                           person.conversations = views.size();
                         });
      people.push_back(person);
    }
    done(true, people);
  }
  RelayCounters counters() const override { return {}; }

  void MakeUnsure(std::string_view name) { unsure_(ChannelOf(name)); }
  std::set<std::string> known;
  uint64_t rung = 0;
  bool watches(std::string_view name) const { return watched_[ChannelOf(name)] > 0; }
  int watched() const {
    int sum = 0;
    for (const int count : watched_) sum += count;
    return sum;
  }

 private:
  RelayedStore* store_;
  std::vector<int> watched_;
  std::vector<std::pair<uint32_t, Bell>> told_;
  Heard heard_;
  Unsure unsure_;
};

inline void RelayedStore::Release() {
  for (auto& [port, bell] : std::exchange(waiting, {})) port->Hear(std::move(bell));
}

// One engine's view of it.
class RelayedLog final : public Log {
 public:
  explicit RelayedLog(RelayedStore* store) : store_(store), port_(store) {}
  RelayedStore::Port& port() { return port_; }
  Relay* relay() override { return &port_; }

  void Commit(const std::vector<Command>& group, int64_t now_ms, CommitDone done) override {
    store_->log->Commit(group, now_ms, [this, &group, done = std::move(done)](std::vector<Outcome> outcomes) {
      for (size_t i = 0; i < outcomes.size(); ++i) {
        if (group[i].kind != CommandKind::kDevice || outcomes[i].code != Code::kOk) continue;
        outcomes[i].at_ms = store_->hello_of[{group[i].user, group[i].device}] = ++store_->hellos;
      }
      done(std::move(outcomes));
    });
  }
  void Views(std::string_view user, std::string_view device, std::string_view after_conv, size_t limit,
             ViewsDone done) override {
    store_->log->Views(user, device, after_conv, limit,
                       [this, done = std::move(done)](Status status, std::vector<ConversationView> views, bool more) {
                         for (ConversationView& view : views) {
                           const auto scripted = store_->histories.find(view.conv);
                           if (scripted != store_->histories.end()) view = scripted->second.view;
                         }
                         if (!views_held) return done(std::move(status), std::move(views), more);
                         held_views_.emplace_back([done, status, views, more] { done(status, views, more); });
                       });
  }
  // Views are read at once, and answered by ReleaseViews.
  bool views_held = false;
  void ReleaseViews() {
    views_held = false;
    for (const auto& answer : std::exchange(held_views_, {})) answer();
  }
  void View(std::string_view user, std::string_view device, std::string_view conv, ViewDone done) override {
    const auto scripted = store_->histories.find(std::string(conv));
    if (scripted != store_->histories.end()) return done(Status::Ok(), scripted->second.view);
    store_->log->View(user, device, conv, std::move(done));
  }
  void ResumeAt(std::string_view user, std::string_view device, const std::vector<Position>& positions,
                ResumeDone done) override {
    if (positions.size() == 1 && !store_->older && store_->histories.contains(positions[0].conv)) {
      return done(Status::Ok(), {store_->histories.at(positions[0].conv)});
    }
    store_->log->ResumeAt(user, device, positions,
                          [this, done = std::move(done)](Status status, std::vector<ResumeView> views) {
                            if (!resumes_held) return done(std::move(status), std::move(views));
                            held_resumes_.emplace_back([done, status, views] { done(status, views); });
                          });
  }
  // Positions are judged at once, and answered by ReleaseResumes.
  bool resumes_held = false;
  void ReleaseResumes() {
    resumes_held = false;
    for (const auto& answer : std::exchange(held_resumes_, {})) answer();
  }
  void Pull(const PullQuery& query, PageDone done) override { store_->log->Pull(query, std::move(done)); }
  void History(const HistoryQuery& query, HistoryDone done) override { store_->log->History(query, std::move(done)); }
  void StatusOf(std::string_view conv, std::string_view user, std::string_view device,
                const std::vector<std::string>& ids, StatusDone done) override {
    store_->log->StatusOf(conv, user, device, ids, std::move(done));
  }
  void MembersOf(std::string_view conv, MembersDone done) override {
    port_.known.insert(std::string(conv));
    store_->log->MembersOf(conv, std::move(done));
  }
  Safe safe() const override { return store_->log->safe(); }

 private:
  RelayedStore* store_;
  RelayedStore::Port port_;
  std::vector<std::function<void()>> held_views_;
  std::vector<std::function<void()>> held_resumes_;
};

}  // namespace everyonce
