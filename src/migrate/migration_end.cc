// How a Migration makes sure that what it says is there is there, and stays.

#include <utility>

#include "migrate/migration.h"
#include "redis/redis_keys.h"
#include "redis/slots.h"

namespace everyonce {
namespace {

constexpr uint64_t kSettleMs = 30000;  // as long as a command is tried
constexpr uint64_t kLookAgainMs = 100;
constexpr uint32_t kReadings = 5;
constexpr const char* kBarrierMs = "60000";

uint64_t SteadyMs() { return uv_hrtime() / 1000000; }

// A key of a slot that this master serves.
std::string BarrierKey(const TargetMasters& masters, size_t index) {
  for (uint32_t i = 0;; ++i) {
    std::string key = MigrationBarrierKey(i);
    if (masters.owner.empty() || masters.owner[SlotOfKey(key)] == index) return key;
  }
}

}  // namespace

// Until all masters agree who serves what, `until_ms` (steady) at the latest.
void Migration::Look(uint64_t until_ms, std::function<void()> looked) {
  LookAtMasters(&client_, [this, until_ms, looked = std::move(looked)](const RedisStatus& status, TargetMasters seen) {
    if (IsOver()) return;
    if (status.ok() && seen.IsSettled()) {
      masters_ = std::move(seen);
      return looked();
    }
    if (status.hopeless() || SteadyMs() >= until_ms) {
      return Fail(!status.ok() ? status
                               : RedisStatus{RedisCode::kUnreachable, "the masters do not agree who serves what"});
    }
    timed_ = [this, until_ms, looked] { Look(until_ms, looked); };
    uv_timer_start(
        timer_, [](uv_timer_t* timer) { std::exchange(static_cast<Migration*>(timer->data)->timed_, nullptr)(); },
        kLookAgainMs, 0);
  });
}

// Looks; then waits until replicas have what was written up to now. What a master writes its replicas have in the same
// order: so one more write of each is enough, over whatever connection there is now.
void Migration::Secure(std::function<void()> secured) {
  Look(SteadyMs() + kSettleMs, [this, secured = std::move(secured)] {
    auto left = std::make_shared<size_t>(1);
    const auto one = [left, secured] {
      if (--*left == 0) secured();
    };
    for (size_t i = 0; i < masters_.masters.size(); ++i) {
      const uint32_t replicas = options_.replicas.value_or(masters_.masters[i].replicas > 0 ? 1 : 0);
      if (replicas == 0) continue;
      ++*left;
      SecureMaster(i, replicas, one);
    }
    one();
  });
}

void Migration::SecureMaster(size_t index, uint32_t replicas, std::function<void()> secured) {
  const std::string key = BarrierKey(masters_, index);
  client_.Command(SlotOfKey(key), {"SET", key, "1", "PX", kBarrierMs}, true, [](const RedisResult&) {});
  client_.Command(SlotOfKey(key), {"DEL", key}, true,
                  [this, replicas, secured = std::move(secured)](const RedisResult& result) {
                    if (IsOver()) return;
                    if (!result.status.ok()) return Fail(result.status);
                    client_.WaitForReplicas(
                        result.link, replicas, options_.replica_timeout_ms, [this, secured](const RedisStatus& status) {
                          if (IsOver()) return;
                          if (status.ok()) return secured();
                          const bool asked = options_.replicas.has_value();
                          Lost(status.message + (asked ? "" : " (--durability replicas=0 waits for none)"));
                        });
                  });
}

void Migration::ReadBack() {
  if (++readings_ > kReadings) return Lost("masters were replaced while all of it was read back, again and again");
  Secure([this] {
    read_from_ = masters_;
    Walk(MigrationStep::kReading);
  });
}

// What was read an hour ago may be gone with its master since.
void Migration::Finish() {
  Look(SteadyMs() + kSettleMs, [this] {
    if (!masters_.IsSameAs(read_from_)) return ReadBack();
    Ask(MigrationKey(), {"HMGET", MigrationKey(), "state", "source"}, [this](const RedisResult& result) {
      const std::vector<RedisReply>& mark = result.reply.elements;
      if (mark.size() != 2 || mark[0].text != "moving" || mark[1].text != source_) {
        return Lost("the mark of this migration is gone");
      }
      SetMark("moved", [this] { Secure([this] { CheckAgain(); }); });
    });
  });
}

// The mark is everywhere, too; and nothing happened before it was.
void Migration::CheckAgain() {
  if (!masters_.IsSameAs(read_from_)) return SetMark("moving", [this] { ReadBack(); });
  step_ = MigrationStep::kDone;
  End({});
}

void Migration::SetMark(const char* state, std::function<void()> set) {
  const std::vector<std::string> command = {"HSET",   MigrationKey(), "state", state,
                                            "source", source_,        "at",    std::to_string(UnixMs())};
  Ask(MigrationKey(), command, [set = std::move(set)](const RedisResult&) { set(); });
}

// What was written is gone. The mark may be gone with it, or say more than is true: it is written again, so that no
// server starts on what is left, and the same again goes on.
void Migration::Lost(std::string message) {
  losing_ = true;
  const std::string key = MigrationKey();
  client_.Command(SlotOfKey(key), {"HSET", key, "state", "moving", "source", source_, "at", std::to_string(UnixMs())},
                  true, [this, message = std::move(message)](const RedisResult&) {
                    End({"MIGRATION_FAILED", message + ": the same again writes it once more"});
                  });
}

}  // namespace everyonce
