#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace everyonce {

// Sends without n are told apart by (conversation, user, id) for a configured time (protocol.md, Sending). This is what
// is kept of one, and the rule that judges the next under the same id. Pure.
struct WindowEntry {
  uint64_t seq = 0;
  int64_t at_ms = 0;  // when it was accepted
  uint64_t body_bytes = 0;
  uint64_t body_hash_low = 0;  // xxh3, 128 bits, of type and body: they need not be kept to compare with
  uint64_t body_hash_high = 0;
  // What the record told, where retention has removed it before the window's end; mid 0: it is in the log.
  uint64_t mid = 0;
  int64_t message_at_ms = 0;
  std::string device;

  bool SameBody(const WindowEntry& other) const {
    return body_bytes == other.body_bytes && body_hash_low == other.body_hash_low &&
           body_hash_high == other.body_hash_high;
  }
  // The window is over: the id may be used anew.
  bool Expired(int64_t now_ms, int64_t window_ms) const { return now_ms - at_ms >= window_ms; }

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, WindowEntry* entry);
};

// An entry with size and hashes set. Another type is another message, as another body is.
WindowEntry WindowEntryOf(std::string_view body, std::string_view type = "text");

enum class WindowVerdict : uint8_t { kNew, kDuplicate, kConflict };

// `known`: what is kept under the id, null: nothing.
WindowVerdict JudgeWindow(const WindowEntry* known, const WindowEntry& offered, int64_t now_ms, int64_t window_ms);

}  // namespace everyonce
