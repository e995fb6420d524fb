#include <algorithm>

#include "core/identifiers.h"
#include "log/log_model.h"

// Retention: what may be gone, what must be, and what that changes.

namespace everyonce::test {

std::string LogModel::Retain(const std::string& conv, const Rules& rules, int64_t now_ms, uint64_t floor, bool whole) {
  latest_ms_ = std::max(latest_ms_, now_ms);
  Conversation& state = Of(conv);
  const std::string where = conv + ": removed up to " + std::to_string(floor);
  if (floor < state.floor) return where + ", after " + std::to_string(state.floor);
  if (floor > state.log.size()) return where + ", beyond head";
  uint64_t must = 0;
  uint64_t may = 0;
  const auto allow = [&](uint64_t seq) {
    must = std::max(must, seq);
    may = std::max(may, seq);
  };
  if (rules.messages > 0 && state.log.size() > rules.messages) allow(state.log.size() - rules.messages);
  if (rules.max_age_ms > 0) {
    for (uint64_t seq = 1; seq <= state.log.size(); ++seq) {
      const Message& message = state.log[seq - 1];
      // Not told yet when it was accepted: whatever its neighbours say.
      if (message.mid == 0 && may == seq - 1) may = seq;
      if (message.mid != 0 && message.at_ms < now_ms - rules.max_age_ms) allow(seq);
      if (message.mid != 0 && message.at_ms < latest_ms_ - rules.max_age_ms) may = std::max(may, seq);
    }
  }
  if (rules.until_acked) {
    uint64_t acked = state.log.size();
    for (const auto& [device, record] : devices_) {
      if (!record.hello || !EverMember(state, conv, device.first)) continue;
      const uint64_t got = Got(state, conv, device);
      if (got < VisibleHead(state, conv, device.first)) acked = std::min(acked, got);
    }
    allow(acked);
  }
  if (floor > std::max(may, state.floor)) return where + ", and only " + std::to_string(may) + " may go";
  if (whole && floor < must) return where + ", and " + std::to_string(must) + " must go";
  // What a device's own messages had settled stays settled.
  std::set<Pair> senders;
  for (uint64_t seq = state.floor + 1; seq <= floor; ++seq) {
    senders.insert({state.log[seq - 1].from, state.log[seq - 1].device});
  }
  for (const Pair& sender : senders) {
    if (sender.first == "system") continue;
    const uint64_t settled = std::min(Got(state, conv, sender), floor);
    for (uint64_t seq = 1; seq <= settled; ++seq) state.acked[sender].insert(seq);
  }
  removed_ += floor - state.floor;
  state.floor = floor;
  return {};
}

// A Log may keep one range over the device's own messages between acked ones: then they stay acked when they are
// removed, and nobody can tell any more whose they were.
void LogModel::JoinOwn(const std::string& conv, const Pair& device) {
  Conversation& state = Of(conv);
  std::set<uint64_t>& acked = state.acked[device];
  uint64_t last = 0;
  for (const uint64_t seq : std::set<uint64_t>(acked)) {
    bool own = last != 0;
    for (uint64_t between = last + 1; own && between < seq; ++between) {
      const Message& message = state.log[between - 1];
      const bool sent = message.from == device.first && message.device == device.second && between > state.floor;
      own = sent || !Visible(state, conv, device.first, between);
    }
    for (uint64_t between = last + 1; own && between < seq; ++between) acked.insert(between);
    last = seq;
  }
}

std::string LogModel::Reopened(const std::string& conv, uint64_t floor, bool power_cut) {
  Conversation& state = Of(conv);
  if (floor > state.floor || (floor < state.floor && !power_cut)) {
    return conv + ": opened with " + std::to_string(floor) + " removed for " + std::to_string(state.floor);
  }
  state.floor = floor;
  return {};
}

}  // namespace everyonce::test
