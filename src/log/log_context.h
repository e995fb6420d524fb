#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/message_token.h"
#include "core/snowflake.h"
#include "log/conversation.h"
#include "log/embedded_log.h"
#include "log/feed_table.h"
#include "log/staged_store.h"

namespace everyonce {

// What the deciders and readers of the embedded log share: the store with the group on top, what is cached of it, the
// clock and the message ids. One per log; one thread.
class LogContext {
 public:
  LogContext(std::unique_ptr<Kv> kv, EmbeddedLogOptions options);

  // Reads what the log needs before its first group. Also after the store has recovered.
  Status Open();
  // Forgets everything that was derived from the store.
  void DropCaches();

  // The conversation, from the cache or the store. Null: a group that does not exist. Valid until Trim.
  Status Find(std::string_view conv, Conversation** conversation);
  // The same, null also where `user` never was a member: neither may be told from the other.
  Status FindFor(std::string_view user, std::string_view conv, Conversation** conversation);
  // Begins a group that Find did not find. REQUIRES: Find gave null for it.
  Conversation* NewGroup(std::string_view conv);
  // Lowers the caches to their bounds. Never within a group.
  void Trim();
  // Whether it is cached, and forgetting it: a look at every conversation must not push out those in use. Not within a
  // group.
  bool IsCached(std::string_view conv) const { return by_conv_.contains(conv); }
  void Evict(std::string_view conv);
  size_t cached_conversations() const { return by_conv_.size(); }

  // The device's record, cached; zeros where there is none.
  Status FindDevice(std::string_view user, std::string_view device, DeviceRecord** record);
  void StageDevice(std::string_view user, std::string_view device, const DeviceRecord& record);

  // The conversations of a user in byte order behind `after`, at most `limit`.
  Status ConversationsOf(std::string_view user, std::string_view after, size_t limit, std::vector<std::string>* convs);

  // The clock never goes back.
  void AdvanceClock(int64_t now_ms) { now_ms_ = std::max(now_ms_, now_ms); }
  int64_t now_ms() const { return now_ms_; }
  // 0: none left (a clock beyond 2093).
  uint64_t NextMid() { return mids_.Next(now_ms_); }
  bool has_tokens() const { return signer_.has_value(); }
  // A new token for a message of this user. REQUIRES: has_tokens().
  std::string NewToken(std::string_view user);
  // Whether the id is a token of this user that has not run out, and when it will.
  bool IsGoodToken(std::string_view user, std::string_view id, int64_t* expires_ms) const;
  // Before a message is added: begins the first epoch of a conversation, or, with late_epochs, that of a new
  // generation.
  void BeginEpochIfDue(Conversation* conversation);
  // The end of a group: keeps the durable reservation of message ids ahead of those given out.
  void StageMidReservation();

  FeedTable& feed() { return feed_; }

  StagedStore& store() { return store_; }
  Kv& kv() { return *kv_; }
  const EmbeddedLogOptions& options() const { return options_; }

  // Conversations that the group has changed, each once, filled by the deciders through Touch.
  void Touch(Conversation* conversation);
  const std::vector<Conversation*>& touched() const { return touched_; }
  void ClearTouched() { touched_.clear(); }

  LogCounters counters;

 private:
  Status OpenTokens();
  void BeginEpoch(Conversation* conversation);
  Status Renew(std::string_view conv, std::unique_ptr<Conversation>* loaded);
  Conversation* Cache(std::unique_ptr<Conversation> conversation);

  std::unique_ptr<Kv> kv_;
  EmbeddedLogOptions options_;
  StagedStore store_;
  int64_t now_ms_;
  Snowflake mids_;
  int64_t mids_reserved_until_ms_ = 0;
  uint64_t generation_ = 0;
  uint64_t generation_epoch_ = 0;
  bool generation_raised_ = false;  // by this log
  std::optional<TokenSigner> signer_;
  uint32_t tokens_issued_ = 0;

  // Most recently used first.
  std::list<std::unique_ptr<Conversation>> conversations_;
  std::unordered_map<std::string_view, std::list<std::unique_ptr<Conversation>>::iterator> by_conv_;
  std::unordered_map<std::string, DeviceRecord> devices_;
  std::vector<Conversation*> touched_;
  FeedTable feed_;
};

}  // namespace everyonce
