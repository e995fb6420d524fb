#include "migrate/target_commands.h"

#include <utility>

namespace everyonce {
namespace {

// How far the clocks of Redis and of this machine may be apart.
constexpr int64_t kClocksApartMs = 60000;
constexpr size_t kRecordItems = 1 + kLogFields.size();

std::vector<std::string> With(std::vector<std::string> command, const std::vector<std::string>& items) {
  command.insert(command.end(), items.begin(), items.end());
  return command;
}

// Every second one of the items, from `first` on.
std::vector<std::string> Every2nd(const std::vector<std::string>& items, size_t first) {
  std::vector<std::string> picked;
  for (size_t i = first; i < items.size(); i += 2) picked.push_back(items[i]);
  return picked;
}

bool AreTexts(const RedisReply& reply, const std::vector<std::string>& wanted) {
  if (reply.elements.size() != wanted.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!reply.elements[i].is_text() || reply.elements[i].text != wanted[i]) return false;
  }
  return true;
}

bool AreRecords(const RedisReply& reply, const std::vector<std::string>& items) {
  if (reply.elements.size() != (items.size() - 1) / kRecordItems) return false;
  for (size_t i = 0; i < reply.elements.size(); ++i) {
    const RedisReply& entry = reply.elements[i];
    const size_t at = 1 + i * kRecordItems;
    if (entry.elements.size() != 2 || entry.elements[0].text != items[at] + "-0") return false;
    const std::vector<RedisReply>& fields = entry.elements[1].elements;
    if (fields.size() != 2 * kLogFields.size()) return false;
    for (size_t j = 0; j < kLogFields.size(); ++j) {
      if (fields[2 * j].text != kLogFields[j] || fields[2 * j + 1].text != items[at + 1 + j]) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<std::string> WriteCommand(const TargetCall& call) {
  switch (call.kind) {
    case TargetKind::kHash:
      return With({"HSET", call.key}, call.items);
    case TargetKind::kSorted:
      return With({"ZADD", call.key}, call.items);
    case TargetKind::kBytes:
      return With({"SETRANGE", call.key}, call.items);
    case TargetKind::kText:
      if (call.expires_ms == 0) return With({"SET", call.key}, call.items);
      return {"SET", call.key, call.items[0], "PXAT", std::to_string(call.expires_ms)};
    case TargetKind::kLog:
    case TargetKind::kCounter:
    case TargetKind::kLength:
      break;
  }
  return {};
}

std::vector<std::string> ReadCommand(const TargetCall& call) {
  switch (call.kind) {
    case TargetKind::kHash:
      return With({"HMGET", call.key}, Every2nd(call.items, 0));
    case TargetKind::kSorted:
      return With({"ZMSCORE", call.key}, Every2nd(call.items, 1));
    case TargetKind::kBytes: {
      const uint64_t offset = std::stoull(call.items[0]);
      return {"GETRANGE", call.key, call.items[0], std::to_string(offset + call.items[1].size() - 1)};
    }
    case TargetKind::kText:
      return {"GET", call.key};
    case TargetKind::kLog:
      return {"XRANGE", call.key, call.items[1] + "-0", call.items[call.items.size() - kRecordItems] + "-0"};
    case TargetKind::kCounter:
      return {"HGET", call.key, "v"};
    case TargetKind::kLength:
      return {"XLEN", call.key};
  }
  return {};
}

bool IsWritten(const TargetCall& call, const RedisReply& reply, int64_t now_ms) {
  if (call.expires_ms != 0 && call.expires_ms <= now_ms + kClocksApartMs) return true;
  switch (call.kind) {
    case TargetKind::kHash:
      return AreTexts(reply, Every2nd(call.items, 1));
    case TargetKind::kSorted:
      return AreTexts(reply, Every2nd(call.items, 0));
    case TargetKind::kBytes:
      return reply.text == call.items[1];
    case TargetKind::kText:
    case TargetKind::kCounter:
      return reply.is_text() && reply.text == call.items[0];
    case TargetKind::kLog:
      return AreRecords(reply, call.items);
    case TargetKind::kLength:
      return std::to_string(reply.integer) == call.items[0];
  }
  return false;
}

}  // namespace everyonce
