#include <algorithm>

#include "log/log_model.h"

namespace everyonce::test {
namespace {

std::string Text(const std::vector<std::string>& list) {
  std::string text = "[";
  for (const std::string& entry : list) text += entry + " ";
  return text + "]";
}

std::vector<std::string> Sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace

std::string LogModel::Compare(const Command& command, int64_t now_ms, const Expected& expected, const Outcome& seen) {
  const bool other = std::find(expected.also.begin(), expected.also.end(), seen.code) != expected.also.end();
  if (seen.code != expected.code && !other) {
    return "answered " + std::string(CodeName(seen.code)) + " (" + seen.message + ") for " +
           std::string(CodeName(expected.code));
  }
  if (seen.code != Code::kOk) {
    if (seen.message.empty()) return "a refusal without a sentence";
    if (seen.duplicate || seen.seq != 0 || seen.audience) return "a refusal that stored something";
    if (seen.retry_ms != (seen.code == Code::kGap ? 0 : -1)) return "retry " + std::to_string(seen.retry_ms);
    if (!expected.text.empty() && !other && seen.message != expected.text) {
      return "said \"" + seen.message + "\" for \"" + expected.text + "\"";
    }
    if (seen.code == Code::kGap && seen.expected != expected.gap) return "gap expects another n";
  }
  if (expected.pe && seen.pe != *expected.pe) return "pe " + std::to_string(seen.pe);
  if (expected.first && seen.first != *expected.first) return "first is wrong";
  if (seen.code != Code::kOk) return {};
  if (expected.got && seen.got != *expected.got) {
    return "got " + std::to_string(seen.got) + " for " + std::to_string(*expected.got);
  }
  if (expected.read && seen.read != *expected.read) {
    return "read " + std::to_string(seen.read) + " for " + std::to_string(*expected.read);
  }
  if (expected.rose && seen.rose != *expected.rose) return "rose is wrong";
  return CompareStored(command, now_ms, expected, seen);
}

std::string LogModel::CompareStored(const Command& command, int64_t now_ms, const Expected& expected,
                                    const Outcome& seen) {
  if (seen.duplicate != expected.duplicate) return seen.duplicate ? "a duplicate of nothing" : "not seen as duplicate";
  if (seen.seq != expected.seq) return "seq " + std::to_string(seen.seq) + " for " + std::to_string(expected.seq);
  if (expected.seq == 0) return {};
  if (seen.mids.size() != command.parts.size()) return "not an id for each part";
  std::string wrong = Adopt(command.conv, seen.seq, seen.epoch, seen.mid, seen.at_ms);
  for (size_t i = 0; i < seen.mids.size() && wrong.empty(); ++i) {
    wrong = Adopt(command.conv, seen.seq + i, seen.epoch, seen.mids[i], seen.at_ms);
  }
  if (!wrong.empty() || !expected.stored) return wrong;
  if (seen.at_ms < now_ms) return "at " + std::to_string(seen.at_ms) + " is before " + std::to_string(now_ms);
  if (!seen.audience) return "no audience";
  if (*seen.audience != expected.audience)
    return "audience " + Text(*seen.audience) + " for " + Text(expected.audience);
  if (command.kind != CommandKind::kMembers) return {};
  if (Sorted(seen.added) != expected.added) return "added " + Text(seen.added) + " for " + Text(expected.added);
  if (Sorted(seen.removed) != expected.removed)
    return "removed " + Text(seen.removed) + " for " + Text(expected.removed);
  const std::string& body = Of(command.conv).log[seen.seq - 1].body;
  if (seen.body != body) return "body " + seen.body + " for " + body;
  return {};
}

}  // namespace everyonce::test
