// Marks, and what sends without n and tokens are known by: from records of the store to those in Redis.

#include "core/byte_codec.h"
#include "core/message_token.h"
#include "core/window_dedup.h"
#include "migrate/store_reader.h"

namespace everyonce {
namespace {

std::string Text(uint64_t number) { return std::to_string(number); }

std::string RangesText(const GotRecord& record) {
  std::string text = Text(record.epoch) + "|";
  bool first = true;
  for (const AckedRanges::Range& range : record.acked) {
    if (!first) text.push_back(',');
    first = false;
    text.append(Text(range.from)).append("-").append(Text(range.to));
  }
  return text;
}

}  // namespace

Status StoreReader::TakeMark(std::string_view key, std::string_view value) {
  if (key.empty()) return Corrupt(key);
  const std::string_view rest = key.substr(1);
  switch (key[0]) {
    case 'g': {
      const std::vector<std::string_view> parts = PartsOfKey(rest, 3);
      GotRecord record;
      if (!GotRecord::Decode(value, &record)) return Corrupt(key);
      const std::string field = "g:" + std::string(parts[0]) + "/" + std::string(parts[1]);
      out_->Hash(ConversationKeys(parts[2]).Marks(), field, RangesText(record));
      ++counts_.acked;
      return Status::Ok();
    }
    case 'r': {
      const std::vector<std::string_view> parts = PartsOfKey(rest, 2);
      ReadRecord record;
      if (!ReadRecord::Decode(value, &record)) return Corrupt(key);
      out_->Hash(ConversationKeys(parts[1]).Marks(), "r:" + std::string(parts[0]),
                 Text(record.epoch) + "|" + Text(record.seq) + "|" + Text(record.system_count));
      ++counts_.read;
      return Status::Ok();
    }
    case 'd': {
      const std::vector<std::string_view> parts = PartsOfKey(rest, 2);
      DeviceRecord record;
      if (!DeviceRecord::Decode(value, &record)) return Corrupt(key);
      out_->Hash(UserDevicesKey(parts[0]), parts[1],
                 Text(record.pe) + " " + Text(static_cast<uint64_t>(record.first_hello_ms)) + " " +
                     Text(static_cast<uint64_t>(record.last_seen_ms)));
      ++counts_.devices;
      return Status::Ok();
    }
    case 'c':
      return Status::Ok();  // positions go with their conversations
    case 'x':
      return TakeLetter(key, value);
    default:
      return Corrupt(key);
  }
}

Status StoreReader::TakeWindow(std::string_view key, std::string_view value) {
  const std::vector<std::string_view> parts = PartsOfKey(key, 3);
  WindowEntry entry;
  if (!WindowEntry::Decode(value, &entry)) return Corrupt(key);
  if (entry.Expired(now_ms_, window_ms_)) {
    ++counts_.window_over;
    return Status::Ok();
  }
  if (entry.mid == 0) {
    std::string record_bytes;
    LogRecord record;
    bool found = false;
    Status status = kv_->Get(Space::kLog, key::Log(parts[0], entry.seq), &record_bytes, &found);
    if (!status.ok()) return status;
    if (!found || !DecodeLogRecord(record_bytes, &record)) return Corrupt(key);
    entry.mid = record.mid;
    entry.message_at_ms = record.at_ms;
    entry.device = record.device;
  }
  const std::string text = Text(entry.seq) + " " + Text(static_cast<uint64_t>(entry.at_ms)) + " " +
                           Text(entry.body_bytes) + "-" + Text(entry.body_hash_low) + "-" + Text(entry.body_hash_high) +
                           " " + Text(entry.mid) + " " + Text(static_cast<uint64_t>(entry.message_at_ms)) + " " +
                           entry.device;
  out_->Text(ConversationKeys(parts[0]).Window(parts[1], parts[2]), text, entry.at_ms + window_ms_);
  ++counts_.window;
  return Status::Ok();
}

Status StoreReader::TakeToken(std::string_view key, std::string_view value) {
  TokenClaim claim;
  if (!TokenClaim::Decode(value, &claim)) return Corrupt(key);
  if (claim.Forgettable(now_ms_)) return Status::Ok();
  Status status = Open(claim.conv);
  KeptAnswer answer;
  bool found = false;
  if (status.ok()) {
    status = conversation_->ReadAnswer(claim.user, claim.device, claim.n, claim.seq, &answer, &found);
  }
  if (!status.ok()) return status;
  std::string text = claim.conv + " " + claim.user + " " + claim.device + " " + Text(claim.n) + " ";
  if (found) {
    text += Text(claim.seq) + " " + Text(conversation_->epochs().EpochOf(claim.seq)) + " " + Text(answer.mid) + " " +
            Text(static_cast<uint64_t>(answer.at_ms));
  } else if (claim.n != 0) {
    text += "0 0 0 0";  // its n tells
  } else {
    text = "- - - 0 0 0 0 0";  // nothing tells any more: it is nobody's to use again
  }
  out_->Text(TokenUseKey(key), text, claim.expires_ms + TokenClaim::kMarginMs);
  ++counts_.tokens;
  return Status::Ok();
}

Status StoreReader::TakeMeta(std::string_view key, std::string_view value) {
  constexpr std::string_view kMid = "mid ";
  if (key == key::TokenKey()) out_->Text(TokenKeyKey(), value, 0);
  if (key.starts_with(kMid)) {
    // Whoever gets this number makes ids above what was reserved here.
    ByteReader reader(value);
    const uint64_t reserved_ms = reader.Fixed64();
    if (!reader.AtEnd()) return Corrupt(key);
    out_->Hash(WorkersKey(), key.substr(kMid.size()), "moved 0 " + Text(reserved_ms));
  }
  return Status::Ok();
}

}  // namespace everyonce
