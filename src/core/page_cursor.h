#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.h"
#include "core/packet.h"

namespace everyonce {

// What a page's `next` says: exactly what pulling with it acks, and where a walk goes on that is not told by what is
// acked: newest first, ahead of what is held, over all conversations.
// Acks are clipped to what the device may see when they are applied, so a forged cursor can only ack its forger's own
// messages and read nothing; a checksum keeps accidents out.
struct PageCursor {
  std::vector<Span> covers;
  Position position;  // the last conversation of the page, and behind (newest first: below) which seq of it
  bool all = false;   // the pull was over all conversations
  bool newest_first = false;
};

// URL-safe text of at most kMaxNextBytes for up to kMaxCursorSpans spans.
inline constexpr size_t kMaxCursorSpans = 16;
std::string EncodePageCursor(const PageCursor& cursor);

// Nothing where the text is not one of ours.
std::optional<PageCursor> DecodePageCursor(std::string_view text);

}  // namespace everyonce
