// The feed's readers: which conversations have news for a group, and a slice of each.

#include <algorithm>
#include <utility>

#include "core/byte_codec.h"
#include "core/pager.h"
#include "log/feed_table.h"
#include "log/log_context.h"
#include "log/read.h"

namespace everyonce {
namespace {

constexpr size_t kMaxEntries = 65536;   // conversations with news in memory, of one group: some 10 MiB
constexpr size_t kScannedAtOnce = 256;  // conversations in one slice of the scan, about 2 ms
constexpr size_t kLookedAtOnce = 256;   // conversations that turn out to have nothing, in one Take

Status Damaged(std::string_view conv, uint64_t seq) {
  return Status::Error(Code::kStoreCorrupt, std::string(conv) + ": no log record at seq " + std::to_string(seq));
}

// The first record (or, `last`, the last one) in from..to.
Status EndOf(Kv* kv, std::string_view conv, uint64_t from, uint64_t to, bool last, uint64_t* seq, LogRecord* told,
             bool* found) {
  *found = false;
  bool whole = true;
  Status status = kv->Scan(Space::kLog, key::Log(conv, from), key::Log(conv, to + 1), last,
                           [&](std::string_view log_key, std::string_view value) {
                             *seq = key::NumberAtEnd(log_key);
                             LogRecord record;
                             whole = DecodeLogRecord(value, &record);
                             told->mid = record.mid;
                             told->at_ms = record.at_ms;
                             *found = true;
                             return false;
                           });
  return status.ok() && !whole ? Damaged(conv, *seq) : status;
}

}  // namespace

Status FeedTable::Open() {
  std::map<std::string, Group, std::less<>> groups;
  const std::string prefix = key::FeedGroup("");
  bool whole = true;
  Status status = context_.kv().Scan(Space::kMeta, prefix, key::After(prefix), false,
                                     [&](std::string_view group_key, std::string_view value) {
                                       Group& group = groups[std::string(group_key.substr(prefix.size()))];
                                       whole = FeedRecord::Decode(value, &group.record);
                                       return whole;
                                     });
  if (status.ok() && !whole) status = Status::Error(Code::kStoreCorrupt, "no record of a consumer group");
  for (auto& named : groups) {
    const std::string& name = named.first;
    Group& group = named.second;
    if (!status.ok()) return status;
    const std::string letters = key::FeedLetters(group.record.mid);
    status = context_.kv().Scan(Space::kMarks, letters, key::FeedLetter(group.record.mid, UINT64_MAX), false,
                                [&group](std::string_view, std::string_view) { return ++group.dead_letters > 0; });
    const auto known = groups_.find(name);
    if (known == groups_.end() || known->second.record.mid != group.record.mid) continue;
    group.leases = std::move(known->second.leases);
    group.first_expiry_ms = known->second.first_expiry_ms;
    group.waiting = known->second.waiting;
    for (auto& [conv, entry] : known->second.entries) {
      if (entry.lease == 0) continue;
      entry.located = false;
      group.entries.emplace(conv, entry);
    }
  }
  if (status.ok()) {
    groups_ = std::move(groups);
    suspended_ = false;
  }
  return status;
}

Status FeedTable::Find(std::string_view name, Group** group) {
  if (suspended_) return Status::Error(Code::kUnavailable, "the store has failed and is being recovered");
  const auto found = groups_.find(name);
  if (found == groups_.end()) {
    return Status::Error(Code::kBadRequest, "there is no such consumer group", "group");
  }
  *group = &found->second;
  return Status::Ok();
}

Status FeedTable::StoredPosition(const Group& group, std::string_view conv, const EpochTable& epochs, uint64_t head,
                                 uint64_t* position, bool* found) {
  std::string value;
  *position = 0;
  Status status = context_.store().Get(Space::kMarks, key::FeedPosition(group.record.mid, conv), &value, found);
  if (!status.ok() || !*found) return status;
  ByteReader reader(value);
  const uint64_t epoch = reader.Varint();
  *position = reader.Varint();
  if (!reader.AtEnd()) return Status::Error(Code::kStoreCorrupt, std::string(conv) + ": no position of a group");
  // A new epoch cuts it to what survived of its own; of an unknown history nothing is known to be handled.
  uint64_t keep = 0;
  if (!epochs.KeepOf(epoch, head, &keep)) keep = 0;
  *position = std::min(*position, keep);
  return status;
}

// The first seq of first..head + 1 whose message was accepted after `mid`: mids rise with seq, so by bisection.
Status FeedTable::FirstAboveMid(std::string_view conv, uint64_t mid, uint64_t first, uint64_t head, uint64_t* seq) {
  uint64_t low = first;
  uint64_t high = head + 1;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    uint64_t at = 0;
    LogRecord record;
    bool found = false;
    Status status = EndOf(&context_.kv(), conv, middle, head, false, &at, &record, &found);
    if (!status.ok()) return status;
    if (!found) return Damaged(conv, middle);
    if (record.mid > mid) {
      high = middle;
    } else {
      low = at + 1;
    }
  }
  *seq = low;
  return Status::Ok();
}

Status FeedTable::Locate(const Group& group, std::string_view conv, const EpochTable& epochs, Place* place) {
  LogRecord newest;
  bool found = false;
  *place = {};
  Kv* kv = &context_.kv();
  Status status = EndOf(kv, conv, 1, kMaxInteger, true, &place->head, &newest, &found);
  if (!status.ok() || !found) return status;
  bool stored = false;
  status = StoredPosition(group, conv, epochs, place->head, &place->position, &stored);
  if (!status.ok() || place->position >= place->head) return status;
  if (!stored && group.record.from_now && newest.mid <= group.record.mid) {
    place->position = place->head;
    return status;
  }
  // What retention had removed before the group was made lies below the first record.
  uint64_t first = 0;
  LogRecord oldest;
  status = EndOf(kv, conv, place->position + 1, place->head, false, &first, &oldest, &found);
  if (!status.ok()) return status;
  if (!stored && group.record.from_now && oldest.mid <= group.record.mid) {
    status = FirstAboveMid(conv, group.record.mid, first, place->head, &first);
    if (status.ok()) status = EndOf(kv, conv, first, place->head, false, &first, &oldest, &found);
  }
  place->position = first - 1;
  place->oldest_at_ms = oldest.at_ms;
  return status;
}

Status FeedTable::LowestPosition(std::string_view conv, uint64_t* seq) {
  *seq = kMaxInteger;
  if (groups_.empty()) return Status::Ok();
  Conversation* conversation = nullptr;
  Status status = context_.Find(conv, &conversation);
  if (!status.ok() || conversation == nullptr) return status;
  for (const auto& [name, group] : groups_) {
    Place place;
    status = Locate(group, conv, conversation->epochs(), &place);
    if (!status.ok()) return status;
    *seq = std::min(*seq, place.position);
  }
  return status;
}

void FeedTable::Queue(Group* group, const std::string& conv, Entry* entry) {
  if (entry->queued || entry->lease != 0) return;
  entry->queued = true;
  group->queue.push_back(conv);
}

void FeedTable::Ring(const std::string& name, Group* group) {
  if (!group->waiting) return;
  group->waiting = false;
  if (bell_) bell_(name);
}

// What a commit costs a group: one look-up per conversation.
void FeedTable::Committed(const Conversation& conversation, size_t appended) {
  if (appended == 0) return;
  for (auto& [name, group] : groups_) {
    if (Counts(group, conversation.conv())) group.lag += appended;
    auto entry = group.entries.find(conversation.conv());
    if (entry == group.entries.end()) {
      if (group.entries.size() >= kMaxEntries) {
        group.overflow = true;
        continue;
      }
      entry = group.entries.emplace(conversation.conv(), Entry{}).first;
      entry->second.oldest_at_ms = context_.now_ms();
    }
    Queue(&group, entry->first, &entry->second);
    if (entry->second.queued) Ring(name, &group);
  }
}

// A slice of all conversations: those that have news are queued, and counted.
Status FeedTable::ScanSome(Group* group) {
  if (group->scanned && group->overflow && group->queue.empty()) {
    group->scanned = group->overflow = false;
    group->counting = false;
    group->scanned_to.clear();
  }
  if (group->scanned) return Status::Ok();
  const std::string all = key::Conversation("");
  std::string from = all + group->scanned_to;
  if (!group->scanned_to.empty()) from.push_back('\0');  // the next key
  std::vector<std::pair<std::string, EpochTable>> found;
  bool whole = true;
  Status status = context_.kv().Scan(Space::kConversations, from, key::After(all), false,
                                     [&](std::string_view name, std::string_view value) {
                                       ConversationRecord record;
                                       whole = ConversationRecord::Decode(value, &record);
                                       found.emplace_back(name.substr(all.size()), std::move(record.epochs));
                                       return whole && found.size() < kScannedAtOnce;
                                     });
  if (!status.ok()) return status;
  if (!whole) return Status::Error(Code::kStoreCorrupt, found.back().first + ": no conversation record");
  for (const auto& [conv, epochs] : found) {
    Place place;
    status = Locate(*group, conv, epochs, &place);
    if (!status.ok()) return status;
    group->scanned_to = conv;
    if (place.position >= place.head) continue;
    if (group->counting) group->lag += place.head - place.position;
    auto entry = group->entries.find(conv);
    if (entry == group->entries.end()) {
      if (group->entries.size() >= kMaxEntries) {
        group->overflow = true;
        continue;
      }
      entry = group->entries.emplace(conv, Entry{}).first;
    }
    entry->second.located = true;
    entry->second.position = place.position;
    entry->second.oldest_at_ms = place.oldest_at_ms;
    Queue(group, conv, &entry->second);
  }
  group->scanned = found.size() < kScannedAtOnce;
  return status;
}

// Leases that nobody renewed: what they held is for anyone to take.
void FeedTable::Expire(Group* group, int64_t now_ms) {
  if (now_ms < group->first_expiry_ms) return;
  group->first_expiry_ms = INT64_MAX;
  std::erase_if(group->leases, [&](const auto& lease) {
    const auto entry = group->entries.find(lease.second);
    if (entry == group->entries.end()) return true;
    if (entry->second.leased_until_ms > now_ms) {
      group->first_expiry_ms = std::min(group->first_expiry_ms, entry->second.leased_until_ms);
      return false;
    }
    entry->second.lease = 0;
    Queue(group, entry->first, &entry->second);
    return true;
  });
}

// A lease on `conv`, with what is behind the group's position.
Status FeedTable::TakeOne(Group* group, const std::string& conv, const FeedQuery& query, size_t* bytes_left,
                          FeedPage* page) {
  Conversation* conversation = nullptr;
  Status status = context_.Find(conv, &conversation);
  if (!status.ok()) return status;
  if (conversation == nullptr) return Status::Error(Code::kUnknownConv, "no such conversation", "conv");
  Entry& entry = group->entries[conv];
  if (!entry.located) {
    Place place;
    status = Locate(*group, conv, conversation->epochs(), &place);
    if (!status.ok()) return status;
    entry.located = true;
    entry.position = place.position;
    entry.oldest_at_ms = place.oldest_at_ms;
  }
  FeedSlice slice;
  slice.conv = conv;
  Status inner;
  if (query.limit > 0 && entry.position < conversation->head()) {
    status = conversation->ScanLog(entry.position + 1, conversation->head(), [&](uint64_t seq, std::string_view value) {
      LogRecord record;
      if (!DecodeLogRecord(value, &record)) {
        inner = Damaged(conv, seq);
        return false;
      }
      const size_t bytes = PageBytesOf(*conversation, record);
      const bool first = slice.messages.empty() && page->slices.empty();
      if (bytes > *bytes_left && !first) return false;
      *bytes_left -= std::min(bytes, *bytes_left);
      slice.messages.push_back(MessageOf(*conversation, seq, record));
      slice.messages.back().epoch = conversation->epochs().EpochOf(seq);
      return slice.messages.size() < query.limit;
    });
    if (!status.ok() || !inner.ok()) return status.ok() ? inner : status;
    if (slice.messages.empty()) {  // no room: first in the next page
      group->queue.push_front(conv);
      entry.queued = true;
      *bytes_left = 0;
      return status;
    }
  }
  if (slice.messages.empty() && query.conv.empty()) {
    group->entries.erase(conv);
    return status;
  }
  slice.lease = entry.lease = ++last_lease_;
  entry.leased_until_ms = query.now_ms + query.lease_ms;
  group->first_expiry_ms = std::min(group->first_expiry_ms, entry.leased_until_ms);
  group->leases.emplace(slice.lease, conv);
  page->slices.push_back(std::move(slice));
  return status;
}

// The next conversation of the queue, or a slice of the scan where it is empty. `looked` false: there is nothing more.
Status FeedTable::TakeNext(Group* group, const FeedQuery& query, size_t* bytes_left, FeedPage* page, bool* looked) {
  *looked = true;
  if (group->queue.empty()) {
    Status status = ScanSome(group);
    *looked = !group->queue.empty();
    return status;
  }
  const std::string conv = std::move(group->queue.front());
  group->queue.pop_front();
  const auto entry = group->entries.find(conv);
  if (entry == group->entries.end()) return Status::Ok();
  entry->second.queued = false;
  if (entry->second.lease != 0) return Status::Ok();
  Status status = TakeOne(group, conv, query, bytes_left, page);
  if (!status.ok()) {  // for who asks again
    const auto again = group->entries.find(conv);
    if (again != group->entries.end()) Queue(group, conv, &again->second);
  }
  return status;
}

void FeedTable::Take(const FeedQuery& query, TakeDone done) {
  Group* group = nullptr;
  Status status = Find(query.group, &group);
  if (group == nullptr) return done(std::move(status), {});
  FeedPage page;
  Expire(group, query.now_ms);
  size_t bytes_left = query.max_bytes;
  if (!query.conv.empty()) {
    const auto entry = group->entries.find(query.conv);
    if (entry == group->entries.end() || entry->second.lease == 0) {
      status = TakeOne(group, query.conv, query, &bytes_left, &page);
    }
    return done(std::move(status), std::move(page));
  }
  bool looked = true;
  for (size_t i = 0; i < kLookedAtOnce && looked && status.ok() && bytes_left > 0; ++i) {
    if (page.slices.size() >= std::min(query.conversations, kMaxFeedConversations)) break;
    status = TakeNext(group, query, &bytes_left, &page, &looked);
  }
  // One that can not be read must not keep what was taken beside it.
  if (!page.slices.empty()) status = Status::Ok();
  page.more = !group->queue.empty() || !group->scanned || group->overflow;
  group->waiting = !page.more;
  done(std::move(status), std::move(page));
}

void FeedTable::Renew(std::string_view name, const std::vector<uint64_t>& leases, int64_t lease_ms, int64_t now_ms,
                      RenewDone done) {
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {});
  Expire(group, now_ms);
  if (!group->queue.empty()) Ring(std::string(name), group);
  std::vector<uint64_t> lost;
  for (uint64_t lease : leases) {
    const auto held = group->leases.find(lease);
    if (held == group->leases.end()) {
      lost.push_back(lease);
      continue;
    }
    Entry& entry = group->entries[held->second];
    entry.leased_until_ms = now_ms + lease_ms;
    group->first_expiry_ms = std::min(group->first_expiry_ms, entry.leased_until_ms);
  }
  done(Status::Ok(), std::move(lost));
}

void FeedTable::Lag(std::string_view name, LagDone done) {
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {});
  if (group->counting && !group->scanned) status = ScanSome(group);
  FeedLag lag;
  lag.messages = group->lag;
  lag.dead_letters = group->dead_letters;
  lag.exact = !group->counting || group->scanned;
  for (const auto& [conv, entry] : group->entries) {
    if (entry.oldest_at_ms == 0) continue;
    if (lag.oldest_at_ms == 0 || entry.oldest_at_ms < lag.oldest_at_ms) lag.oldest_at_ms = entry.oldest_at_ms;
  }
  done(std::move(status), lag);
}

void FeedTable::Letters(std::string_view name, uint64_t after_mid, uint32_t limit, LettersDone done) {
  Group* group = nullptr;
  Status status = Find(name, &group);
  if (group == nullptr) return done(std::move(status), {}, false);
  std::vector<DeadLetter> letters;
  bool more = false;
  bool whole = true;
  size_t bytes = 0;
  const uint64_t mid = group->record.mid;
  status = context_.kv().Scan(Space::kMarks, key::FeedLetter(mid, after_mid) + '\0', key::FeedLetter(mid, UINT64_MAX),
                              false, [&](std::string_view, std::string_view value) {
                                more = letters.size() >= std::min(limit, kMaxDeadLetterPage) || bytes > kMaxPageBytes;
                                if (more) return false;
                                bytes += value.size();
                                whole = DecodeDeadLetter(value, &letters.emplace_back());
                                return whole;
                              });
  if (status.ok() && !whole) status = Status::Error(Code::kStoreCorrupt, "no dead letter of " + std::string(name));
  done(std::move(status), std::move(letters), more);
}

std::vector<FeedGroupView> FeedTable::Groups() const {
  std::vector<FeedGroupView> views;
  for (const auto& [name, group] : groups_) views.push_back({name, group.record.created_at_ms});
  return views;
}

}  // namespace everyonce
