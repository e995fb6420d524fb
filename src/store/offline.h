#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/store_thread.h"

namespace everyonce {

// The articles' offline table: what waits for a receiver, by name (semantics f). Nothing is removed for having been
// read: only by its name, or as part of the page that a `next` names, when that is brought back.
//
//   o receiver 'c' sender           how many wait from that sender
//   o receiver 'i' msgId            OfflineName: where it is, or when it was acked
//   o receiver 'm' order            the item
//   o receiver 's' sender order     index: the sender's items
// and "o" alone counts orders, over all receivers, so that none is ever used again.

struct OfflineItem {
  std::string msg_id;
  std::string sender;
  std::string body;  // JSON: what else the application stored
};

struct OfflineQuery {
  std::string receiver;
  std::string sender;  // empty: of all
  size_t limit = 0;    // items, ≥ 1
  bool newest_first = false;
  std::string next;  // of the page before, which it acks; empty: from the beginning
};

struct OfflinePage {
  std::vector<OfflineItem> items;
  std::string next;  // empty where there are no items
};

// A page's items, together: at least one item always goes.
inline constexpr size_t kMaxOfflinePageBytes = size_t{1} << 20;

// A stored pair, for who walks over all of them. kOther: an index, made of the rest.
enum class OfflineEntryKind : uint8_t { kItem, kName, kCount, kOther };
struct OfflineEntry {
  OfflineEntryKind kind = OfflineEntryKind::kOther;
  std::string receiver;
  OfflineItem item;          // kItem; kName: msg_id; kCount: sender
  uint64_t order = 0;        // kItem, kName (0: it was acked)
  uint64_t count = 0;        // kCount
  int64_t forget_at_ms = 0;  // kName, where it was acked
};
[[nodiscard]] bool DecodeOfflineEntry(std::string_view key, std::string_view value, OfflineEntry* entry);

// `added` false: the receiver has or had it. An acked name is remembered for keep_ms.
Status AppendOffline(const StoreRoom& room, std::string_view receiver, const OfflineItem& item, bool* added);
struct SenderCount {
  std::string sender;
  uint64_t count = 0;
};
// By sender, in byte order.
Status CountOffline(const StoreRoom& room, std::string_view receiver, std::vector<SenderCount>* counts);
// Acks the page that query.next names, then reads on behind it: the same `next` gives the same page, and acks no more.
// kBadRequest (field `next`): it is not of such a walk.
Status PullOffline(const StoreRoom& room, const OfflineQuery& query, int64_t keep_ms, OfflinePage* page);
// By name; `acked` counts those that waited.
Status AckOffline(const StoreRoom& room, std::string_view receiver, const std::vector<std::string>& msg_ids,
                  int64_t keep_ms, uint64_t* acked);

}  // namespace everyonce
