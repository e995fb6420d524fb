// libFuzzer target for all that is read back from a store or from what a client was handed to bring again: any bytes
// are refused, or are a value whose own form reads back as the same.
//
// The first byte says which reader.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/acked_ranges.h"
#include "core/claim.h"
#include "core/message_token.h"
#include "core/page_cursor.h"
#include "core/producer_table.h"
#include "core/window_dedup.h"
#include "log/feed_table.h"
#include "log/log_format.h"
#include "store/offline_token.h"

namespace everyonce {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// `Record` has Decode and Encode: what was read, written again, is stable.
template <typename Record>
void CheckRecord(std::string_view value) {
  Record record;
  if (!Record::Decode(value, &record)) return;
  const std::string written = record.Encode();
  Record again;
  Require(Record::Decode(written, &again));
  Require(again.Encode() == written);
}

template <typename Record>
void CheckSnapshot(std::string_view value) {
  Record record;
  uint64_t as_of_seq = 0;
  if (!Record::Decode(value, &record, &as_of_seq)) return;
  const std::string written = record.Encode(as_of_seq);
  Record again;
  uint64_t again_seq = 0;
  Require(Record::Decode(written, &again, &again_seq) && again_seq == as_of_seq);
  Require(again.Encode(again_seq) == written);
}

void CheckLogRecord(std::string_view value) {
  LogRecord record;
  if (!DecodeLogRecord(value, &record)) return;
  const std::string written = EncodeLogRecord(record);
  LogRecord again;
  Require(DecodeLogRecord(written, &again));
  Require(again.body == record.body && again.id == record.id && again.n == record.n && again.mid == record.mid);
}

void CheckSpans(std::string_view value) {
  VisibleSpans spans;
  if (!DecodeSpans(value, &spans)) return;
  for (size_t i = 0; i < spans.size(); ++i) {
    Require(spans[i].from <= spans[i].to);
    Require(i == 0 || spans[i - 1].to < spans[i].from);
  }
  VisibleSpans again;
  Require(DecodeSpans(EncodeSpans(spans), &again) && again.size() == spans.size());
}

void CheckOwnBlock(std::string_view value) {
  uint64_t count_before = 0;
  std::vector<uint64_t> seqs;
  if (!DecodeOwnBlock(value, &count_before, &seqs)) return;
  uint64_t again_before = 0;
  std::vector<uint64_t> again;
  Require(DecodeOwnBlock(EncodeOwnBlock(count_before, seqs), &again_before, &again));
  Require(again_before == count_before && again == seqs);
}

void CheckProducerBlock(std::string_view value) {
  std::vector<ProducerAnswer> answers;
  Producer::PackageHashes packages;
  if (Producer::DecodeBlock(value, &answers, &packages)) Require(answers.size() == kProducerWindow);
}

void CheckRanges(std::string_view value) {
  std::string_view in = value;
  AckedRanges ranges;
  if (!AckedRanges::Decode(&in, &ranges)) return Require(in.data() == value.data() && in.size() == value.size());
  std::string written;
  ranges.Encode(&written);
  Require(written == value.substr(0, value.size() - in.size()));
}

void CheckDeadLetter(std::string_view value) {
  DeadLetter letter;
  if (!DecodeDeadLetter(value, &letter)) return;
  const std::string written = EncodeDeadLetter(letter);
  DeadLetter again;
  Require(DecodeDeadLetter(written, &again));
  Require(EncodeDeadLetter(again) == written);
}

void CheckCursor(std::string_view text) {
  const auto cursor = DecodePageCursor(text);
  if (!cursor) return;
  Require(cursor->covers.size() <= kMaxCursorSpans);
  Require(EncodePageCursor(*cursor) == text);
}

void CheckToken(std::string_view text) {
  static const TokenSigner signer(std::string(kMinTokenKeyBytes, 'k'));
  int64_t expires_ms = 0;
  Require(!signer.Verify("user", text, &expires_ms));
  // One that is ours with anything in its place is not.
  std::string token = signer.Issue("user", 1'700'000'000'000, 1, 2);
  Require(signer.Verify("user", token, &expires_ms) && expires_ms == 1'700'000'000'000);
  if (text.size() < 2) return;
  const char before = token[static_cast<uint8_t>(text[0]) % kTokenBytes];
  token[static_cast<uint8_t>(text[0]) % kTokenBytes] = text[1];
  Require(before == text[1] || !signer.Verify("user", token, &expires_ms));
}

constexpr void (*kReaders[])(std::string_view) = {
    CheckLogRecord,
    CheckRecord<ConversationRecord>,
    CheckRecord<KeptAnswer>,
    CheckSpans,
    CheckSnapshot<OwnRecord>,
    CheckOwnBlock,
    CheckRecord<GotRecord>,
    CheckRecord<ReadRecord>,
    CheckRecord<DeviceRecord>,
    CheckSnapshot<Producer>,
    CheckProducerBlock,
    CheckRecord<WindowEntry>,
    CheckRecord<TokenClaim>,
    CheckRecord<ClaimRecord>,
    CheckRecord<FeedRecord>,
    CheckDeadLetter,
    CheckRanges,
    CheckRecord<OfflineToken>,
    CheckCursor,
    CheckToken,
};

}  // namespace
}  // namespace everyonce

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view value(reinterpret_cast<const char*>(data) + 1, size - 1);
  everyonce::kReaders[data[0] % std::size(everyonce::kReaders)](value);
  return 0;
}
