#include "migrate/store_reader.h"

#include <utility>

#include "log/generation.h"

namespace everyonce {
namespace {

// The log before what tells how far it goes.
constexpr Space kParts[] = {Space::kMeta,  Space::kLog,    Space::kConversations, Space::kProducers,
                            Space::kMarks, Space::kWindow, Space::kTokens,        Space::kPrimitives};
constexpr size_t kKeysAtOnce = 1000;

}  // namespace

std::vector<std::string_view> PartsOfKey(std::string_view key, size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const size_t end = key.find('\0');
    parts.push_back(key.substr(0, end));
    key.remove_prefix(end == std::string_view::npos ? key.size() : end + 1);
  }
  parts.push_back(key);
  return parts;
}

StoreReader::StoreReader(Kv* kv, int64_t window_ms, bool restored)
    : kv_(kv), unchanged_(kv), window_ms_(window_ms), restored_(restored) {}

Status StoreReader::Corrupt(std::string_view key) const {
  std::string shown;
  for (const char byte : key) shown.push_back(byte >= ' ' && byte <= '~' ? byte : ' ');
  return Status::Error(Code::kStoreCorrupt, "what is stored under \"" + shown + "\" can't be read");
}

Status StoreReader::Rewind(int64_t now_ms) {
  now_ms_ = now_ms;
  if (first_ms_ == 0) first_ms_ = now_ms;
  counts_ = {};
  part_ = 0;
  from_.clear();
  conversation_.reset();
  conv_.clear();
  log_conv_.clear();
  Status status = ReadMetaNumber(kv_, key::Generation(), &generation_);
  if (restored_) ++generation_;
  return status.ok() ? ReadGroups() : status;
}

Status StoreReader::Slice(TargetCalls* calls, bool* done) {
  out_ = calls;
  *done = false;
  while (!calls->full()) {
    if (part_ == std::size(kParts)) {
      FinishGroups();
      *done = true;
      return Status::Ok();
    }
    Status inner;
    bool more = false;
    size_t seen = 0;
    Status status = kv_->Scan(kParts[part_], from_, {}, false, [&](std::string_view key, std::string_view value) {
      inner = Take(kParts[part_], key, value);
      ++counts_.keys;
      more = calls->full() || ++seen == kKeysAtOnce;
      if (more) from_ = std::string(key) + '\0';
      return inner.ok() && !more;
    });
    if (!status.ok()) return status;
    if (!inner.ok()) return inner;
    if (more) {
      if (seen == kKeysAtOnce) return Status::Ok();  // the loop has other things to do, too
      continue;
    }
    ++part_;
    from_.clear();
  }
  return Status::Ok();
}

Status StoreReader::Take(Space space, std::string_view key, std::string_view value) {
  switch (space) {
    case Space::kLog:
      return TakeRecord(key, value);
    case Space::kConversations:
      return TakeConversation(key, value);
    case Space::kMarks:
      return TakeMark(key, value);
    case Space::kProducers:
      return TakeProducer(key, value);
    case Space::kWindow:
      return TakeWindow(key, value);
    case Space::kTokens:
      return TakeToken(key, value);
    case Space::kPrimitives:
      return TakePrimitive(key, value);
    case Space::kMeta:
      return TakeMeta(key, value);
  }
  return Status::Ok();
}

}  // namespace everyonce
