#include "redis/redis_log.h"

#include <algorithm>
#include <utility>

#include "redis/redis_keys.h"
#include "redis/redis_medium.h"

namespace everyonce {
namespace {

// A lease is renewed when a third of it is over, and what failed is tried again after this part of it.
constexpr uint32_t kLeaseTries = 30;
constexpr uint64_t kTroubleEveryMs = 10000;

uint64_t SteadyMs() { return uv_hrtime() / 1000000; }

}  // namespace

RedisLog::RedisLog(uv_loop_t* loop, RedisClientOptions client, RedisLogOptions options)
    : loop_(loop),
      options_(std::move(options)),
      client_(loop, std::move(client)),
      relay_(std::make_unique<RedisMedium>(loop, &client_), options_.random ? options_.random() : 0, ForRelay()) {
  lease_timer_ = new uv_timer_t;
  uv_timer_init(loop_, lease_timer_);
  lease_timer_->data = this;
  // A master that took over may lack what is remembered of the one before.
  client_.OnTopology([this] {
    indexed_.clear();
    members_.clear();
  });
  client_.OnRefused([this](const RedisStatus& status) { Refused(status); });
  feed_ = std::make_unique<RedisFeed>(RedisFeed::Host{.loop = loop_,
                                                      .client = &client_,
                                                      .replicas = options_.replicas,
                                                      .replica_timeout_ms = options_.replica_timeout_ms,
                                                      .answered = [this] { GiveAnswers(); }});
  retention_ = std::make_unique<RedisRetention>(
      RedisRetention::Host{.client = &client_,
                           .owner = options_.owner,
                           .counters = &counters_,
                           .groups = [this] { return feed_->Names(); },
                           .meet_group = [this](const std::string& name) { feed_->Meet(name); },
                           .take_over = [this](uint32_t partition) { feed_->TakeOver(partition); }},
      options_.retention);
}

RedisLog::~RedisLog() { Close(); }

void RedisLog::Close() {
  if (closed_) return;
  closed_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(lease_timer_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  lease_timer_ = nullptr;
  relay_.Close();
  feed_->Close();
  client_.Close();
  GiveAnswers();
}

RedisRelayLog RedisLog::ForRelay() {
  RedisRelayLog log;
  log.members = [this](const std::string& conv) -> std::pair<std::string, std::shared_ptr<const MemberList>> {
    const auto known = members_.find(conv);
    if (known == members_.end()) return {};
    return {known->second.version, known->second.list};
  };
  // What an older run of the device left in queues here is refused from now on.
  log.hello = [this](const Bell& bell) {
    const auto known = devices_.find(bell.user + "/" + bell.device);
    if (known != devices_.end()) known->second.pe = std::max(known->second.pe, bell.pe);
  };
  log.wake = [this] {
    if (answered_ && !closed_) answered_();
  };
  return log;
}

LogCounters RedisLog::counters() const {
  LogCounters counters = counters_;
  counters.cached_conversations = members_.size() + indexed_.size();
  return counters;
}

// Every command finds the same as long as it lasts: it is told once in a while.
void RedisLog::Refused(const RedisStatus& status) {
  ++counters_.refusals;
  if (!trouble_ || closed_ || SteadyMs() < trouble_again_ms_) return;
  trouble_again_ms_ = SteadyMs() + kTroubleEveryMs;
  trouble_(RedisCodeName(status.code), status.message);
  if (answered_) answered_();
}

// --- opening, and the worker number ---

void RedisLog::Open(OpenDone done) {
  client_.Describe([this, done = std::move(done)](RedisStatus status, const ServerInfo& info) {
    if (!status.ok() || closed_) return done(std::move(status), info);
    // Whether an answer survives a power cut depends on appendfsync, which INFO does not tell.
    client_.Command(0, {"CONFIG", "GET", "appendfsync"}, true, [this, done, info](RedisResult result) {
      const std::vector<RedisReply>& pair = result.reply.elements;
      const bool always = info.aof && pair.size() == 2 && pair[1].text == "always";
      safe_ = options_.replicas > 0 ? Safe::kReplicated : always ? Safe::kDisk : Safe::kMemory;
      NeedWhole([this, done, info](RedisStatus whole) {
        if (!whole.ok()) return done(std::move(whole), info);
        TakeLease([this, done, info](RedisStatus leased) {
          if (!leased.ok()) return done(std::move(leased), info);
          feed_->Start([this, done, info](RedisStatus started) {
            if (!started.ok()) return done(std::move(started), info);
            OpenTokens([done, info](RedisStatus signing) { done(std::move(signing), info); });
          });
        });
      });
    });
  });
}

// Half of a store would be taken for all of it: heads without their messages, senders without their answers.
void RedisLog::NeedWhole(std::function<void(RedisStatus)> done) {
  const std::string key = MigrationKey();
  client_.Command(SlotOfKey(key), {"HGET", key, "state"}, true, [done = std::move(done)](RedisResult result) {
    if (!result.status.ok()) return done(std::move(result.status));
    if (result.reply.text != "moving") return done({});
    done({RedisCode::kHalfMoved,
          "a store is being moved here, or that was broken off: run the same `everyonce migrate` "
          "again to its end, or remove the keys eo:*"});
  });
}

int64_t RedisLog::Retain(int64_t now_ms) {
  if (closed_) return options_.retention.removes() ? options_.retention.every_ms : -1;
  return retention_->Slice(now_ms);
}

bool RedisLog::HasLease() const { return worker_ >= 0 && SteadyMs() < lease_until_ms_; }

void RedisLog::TakeLease(std::function<void(RedisStatus)> done) {
  leasing_ = true;
  const uint64_t asked_ms = SteadyMs();
  const uint64_t begin = options_.random ? options_.random() % 1024 : 0;
  Run("lease", {WorkersKey()},
      {"take", options_.owner, std::to_string(begin), std::to_string(options_.lease_ms),
       std::to_string(mids_.last_ms())},
      [this, asked_ms, done = std::move(done)](RedisResult result) {
        leasing_ = false;
        uint64_t worker = 0;
        uint64_t reserved_ms = 0;
        if (!result.status.ok()) return done(std::move(result.status));
        const std::vector<RedisReply>& reply = result.reply.elements;
        if (reply.size() != 3 || !reply[0].ToNumber(&worker) || !reply[1].ToNumber(&reserved_ms)) {
          return done({RedisCode::kRefused, "all 1024 worker numbers are in use"});
        }
        worker_ = static_cast<int>(worker);
        lease_until_ms_ = asked_ms + options_.lease_ms;
        mids_ = Snowflake(static_cast<uint32_t>(worker), std::max(static_cast<int64_t>(reserved_ms), mids_.last_ms()));
        RenewLeaseIn(options_.lease_ms / 3);
        done({});
      });
}

void RedisLog::RenewLeaseIn(uint32_t wait_ms) {
  if (lease_timer_ == nullptr) return;
  uv_timer_start(
      lease_timer_, [](uv_timer_t* timer) { static_cast<RedisLog*>(timer->data)->RenewLease(); }, wait_ms,
      options_.lease_ms / 3);
  uv_unref(reinterpret_cast<uv_handle_t*>(lease_timer_));
}

void RedisLog::RenewLease() {
  if (leasing_ || closed_) return;
  if (!HasLease()) {
    return TakeLease([this](const RedisStatus& status) {
      if (!status.ok()) RenewLeaseIn(options_.lease_ms / kLeaseTries);
    });
  }
  const uint64_t asked_ms = SteadyMs();
  Run("lease", {WorkersKey()},
      {"renew", options_.owner, std::to_string(worker_), std::to_string(options_.lease_ms),
       std::to_string(mids_.last_ms())},
      [this, asked_ms](const RedisResult& result) {
        // Without it nothing is taken in: a failover that is over must not be waited for until the next regular time.
        if (!result.status.ok()) return RenewLeaseIn(options_.lease_ms / kLeaseTries);
        if (result.reply.elements.size() == 3) {
          lease_until_ms_ = asked_ms + options_.lease_ms;
        } else {
          worker_ = -1;
          RenewLease();
        }
      });
}

// --- answers in order ---

RedisLog::TicketPointer RedisLog::TakeTicket() {
  tickets_.push_back(std::make_shared<Ticket>());
  return tickets_.back();
}

void RedisLog::Settle(const TicketPointer& ticket, Answer answer) {
  ticket->ready = true;
  ticket->answer = std::move(answer);
  GiveAnswers();
}

void RedisLog::GiveAnswers() {
  if (giving_) return;
  giving_ = true;
  while (!tickets_.empty() && tickets_.front()->ready) {
    // Taken out: an answer holds its group, which holds the ticket.
    const Answer answer = std::move(tickets_.front()->answer);
    tickets_.pop_front();
    answer();
  }
  giving_ = false;
  if (answered_ && !closed_) answered_();
}

void RedisLog::AfterCommits(std::function<void()> read) {
  if (commits_ == 0) return read();
  reads_.push_back(std::move(read));
}

void RedisLog::Run(const char* script, const std::vector<std::string>& keys, const std::vector<std::string>& arguments,
                   Done done) {
  const LuaScript* found = FindLuaScript(script);
  if (found == nullptr) return done({{RedisCode::kRefused, std::string("no script ") + script}, {}, 0});
  client_.RunScript(*found, keys, arguments, std::move(done));
}

}  // namespace everyonce
