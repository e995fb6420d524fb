#include "migrate/target_masters.h"

#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

namespace everyonce {
namespace {

// What stands behind `name:` on a line of INFO; empty: nothing.
std::string_view Field(std::string_view text, std::string_view name) {
  const std::string start = "\n" + std::string(name) + ":";
  const size_t at = text.find(start);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + start.size());
  return text.substr(0, text.find_first_of("\r\n"));
}

uint32_t CountOf(std::string_view text, std::string_view word) {
  uint32_t count = 0;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

struct Look {
  RedisStatus status;
  TargetMasters seen;
  size_t left = 0;
  std::function<void(const RedisStatus& status, TargetMasters masters)> done;

  void Take(RedisStatus told) {
    if (status.ok()) status = std::move(told);
    if (--left == 0) done(status, std::move(seen));
  }
};

void AskMaster(RedisClient* client, const std::shared_ptr<Look>& look, size_t index) {
  const uint16_t slot = look->seen.masters[index].slot;
  client->Command(slot, {"INFO"}, true, [look, index](const RedisResult& result) {
    TargetMasters::Master& master = look->seen.masters[index];
    const std::string& text = result.reply.text;
    master.is_master = Field(text, "role") == "master";
    master.run_id = Field(text, "run_id");
    master.replication_id = Field(text, "master_replid");
    master.replicas = CountOf(text, ",state=online,");
    const bool good = !master.run_id.empty() && !master.replication_id.empty();
    look->Take(!result.status.ok() || good ? result.status : RedisStatus{RedisCode::kProtocol, "an INFO that is none"});
  });
  if (!client->is_cluster()) return;
  ++look->left;
  client->Command(slot, {"CLUSTER", "INFO"}, true, [look, index](const RedisResult& result) {
    const std::string_view epoch = Field(result.reply.text, "cluster_current_epoch");
    (void)std::from_chars(epoch.data(), epoch.data() + epoch.size(), look->seen.masters[index].epoch);
    look->Take(result.status);
  });
}

}  // namespace

bool TargetMasters::IsSettled() const {
  for (const Master& master : masters) {
    if (!master.is_master || master.epoch != masters.front().epoch) return false;
  }
  return !masters.empty();
}

bool TargetMasters::IsSameAs(const TargetMasters& other) const {
  if (owner != other.owner || masters.size() != other.masters.size()) return false;
  for (size_t i = 0; i < masters.size(); ++i) {
    const Master& mine = masters[i];
    const Master& theirs = other.masters[i];
    if (mine.node != theirs.node || mine.run_id != theirs.run_id || mine.replication_id != theirs.replication_id ||
        mine.epoch != theirs.epoch) {
      return false;
    }
  }
  return true;
}

void LookAtMasters(RedisClient* client, std::function<void(const RedisStatus& status, TargetMasters masters)> done) {
  client->Describe([client, done = std::move(done)](const RedisStatus& described, const ServerInfo&) {
    if (!described.ok()) return done(described, {});
    auto look = std::make_shared<Look>();
    look->done = done;
    TargetMasters& seen = look->seen;
    if (client->is_cluster()) {
      const SlotMap& slots = client->slots();
      seen.owner = slots.owner;
      for (const SlotMap::Node& node : slots.masters) seen.masters.push_back({.node = node});
      for (uint16_t slot = kRedisSlots; slot-- > 0;) {
        if (slots.owner[slot] != SlotMap::kNone) seen.masters[slots.owner[slot]].slot = slot;
      }
    } else {
      seen.masters.push_back({.node = *client->MasterOf(0)});
    }
    look->left = seen.masters.size();
    const size_t count = look->left;
    for (size_t i = 0; i < count; ++i) AskMaster(client, look, i);
  });
}

}  // namespace everyonce
