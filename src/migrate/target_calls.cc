#include "migrate/target_calls.h"

#include <algorithm>
#include <utility>

namespace everyonce {

TargetCall* TargetCalls::Begin(TargetKind kind, std::string key) {
  bytes_ += key.size();
  calls_.push_back({.kind = kind, .key = std::move(key)});
  return &calls_.back();
}

TargetCall* TargetCalls::Extend(TargetKind kind, std::string key) {
  if (!calls_.empty()) {
    TargetCall& last = calls_.back();
    const bool room = last.items.size() < kItemsPerCall && last.bytes < kBytesPerCall;
    if (room && last.kind == kind && last.key == key) return &last;
  }
  return Begin(kind, std::move(key));
}

void TargetCalls::Add(TargetCall* call, std::string_view item) {
  call->items.emplace_back(item);
  call->bytes += item.size();
  bytes_ += item.size();
}

void TargetCalls::Hash(std::string key, std::string_view field, std::string_view value) {
  TargetCall* call = Extend(TargetKind::kHash, std::move(key));
  Add(call, field);
  Add(call, value);
}

void TargetCalls::Sorted(std::string key, uint64_t score, std::string_view member) {
  TargetCall* call = Extend(TargetKind::kSorted, std::move(key));
  AddNumber(call, score);
  Add(call, member);
}

void TargetCalls::Bytes(std::string key, uint64_t offset, std::string bytes) {
  if (bytes.empty()) return;
  TargetCall* call = Begin(TargetKind::kBytes, std::move(key));
  AddNumber(call, offset);
  Add(call, bytes);
}

void TargetCalls::Text(std::string key, std::string_view value, int64_t expires_ms) {
  TargetCall* call = Begin(TargetKind::kText, std::move(key));
  Add(call, value);
  call->expires_ms = expires_ms;
}

void TargetCalls::Record(std::string key, uint64_t first_seq, uint64_t seq, const LogRecord& record) {
  TargetCall* call = Extend(TargetKind::kLog, std::move(key));
  if (call->items.empty()) AddNumber(call, first_seq);
  AddNumber(call, seq);
  AddNumber(call, record.mid);
  AddNumber(call, static_cast<uint64_t>(record.at_ms));
  AddNumber(call, record.n);
  Add(call, record.from);
  Add(call, record.device);
  Add(call, record.id);
  Add(call, record.type);
  Add(call, record.body);
  AddNumber(call, record.system_count);
  AddNumber(call, record.run);
}

void TargetCalls::Counter(std::string key, uint64_t value, int64_t at_ms) {
  TargetCall* call = Begin(TargetKind::kCounter, std::move(key));
  AddNumber(call, value);
  AddNumber(call, static_cast<uint64_t>(at_ms));
}

void TargetCalls::Expiry(int64_t at_ms) { calls_.back().expires_ms = std::max(calls_.back().expires_ms, at_ms); }

void TargetCalls::Length(std::string key, uint64_t count) {
  AddNumber(Begin(TargetKind::kLength, std::move(key)), count);
}

TargetCall TargetCalls::Take() {
  TargetCall call = std::move(calls_.front());
  calls_.pop_front();
  bytes_ -= call.bytes + call.key.size();
  return call;
}

}  // namespace everyonce
