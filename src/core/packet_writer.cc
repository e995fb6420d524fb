#include "core/packet_writer.h"

namespace everyonce {
namespace {

std::string_view SafeName(Safe safe) {
  switch (safe) {
    case Safe::kMemory:
      return "memory";
    case Safe::kDisk:
      return "disk";
    case Safe::kReplicated:
      return "replicated";
  }
  return "memory";
}

std::string_view ResumeName(Resume resume) {
  switch (resume) {
    case Resume::kOk:
      return "ok";
    case Resume::kTruncated:
      return "truncated";
    case Resume::kReset:
      return "reset";
  }
  return "reset";
}

void WriteEntry(const ConversationEntry& entry, std::string* out) {
  ObjectWriter object(out);
  object.String("conv", entry.view.conv);
  object.Integer("epoch", entry.view.epoch);
  object.Integer("head", entry.view.head);
  object.Integer("got", entry.view.got);
  object.Integer("read", entry.view.read);
  object.Integer("unread", entry.view.unread);
  if (entry.resume) {
    object.String("resume", ResumeName(*entry.resume));
    if (*entry.resume == Resume::kTruncated) object.Integer("keep", entry.keep);
  }
  object.End();
}

void WriteCount(const ConversationView& view, std::string* out) {
  ObjectWriter object(out);
  object.String("conv", view.conv);
  object.Integer("epoch", view.epoch);
  object.Integer("unread", view.unread);
  object.Integer("head", view.head);
  object.Integer("got", view.got);
  object.End();
}

void WriteFound(const StatusFound& found, std::string* out) {
  ObjectWriter object(out);
  object.String("id", found.id);
  if (found.n != 0) object.Integer("n", found.n);
  object.Integer("seq", found.seq);
  object.Integer("epoch", found.epoch);
  object.Id("mid", found.mid);
  object.Time("at", found.at_ms);
  object.End();
}

void WriteCover(const Span& span, std::string* out) {
  out->push_back('[');
  WriteJsonString(span.conv, out);
  for (const uint64_t value : {span.epoch, span.from, span.to}) {
    out->push_back(',');
    WriteInteger(value, out);
  }
  out->push_back(']');
}

void WriteItem(const PageItem& item, std::string* out) {
  if (!item.filled.empty()) {
    out->append(item.filled);
  } else if (item.is_hole()) {
    WriteHole(item.hole, out);
  } else {
    WriteMsg(item.message, out);
  }
}

void WriteText(const std::string& text, std::string* out) { WriteJsonString(text, out); }

}  // namespace

void WriteWelcome(const WelcomePacket& welcome, std::string* out) {
  ObjectWriter object("welcome", out);
  object.Integer("v", 1);
  object.String("user", welcome.user);
  object.String("device", welcome.device);
  object.String("node", welcome.node);
  object.Time("now", welcome.now_ms);
  object.Key("limits");
  ObjectWriter limits(out);
  limits.Integer("frame", welcome.limits.frame_bytes);
  limits.Integer("body", welcome.limits.body_bytes);
  limits.Integer("window", welcome.limits.window);
  limits.Integer("page", welcome.limits.page);
  limits.Integer("rate", welcome.limits.rate);
  limits.End();
  if (!welcome.tokens.empty()) object.String("tokens", welcome.tokens);
  object.List("convs", welcome.convs, WriteEntry);
  if (welcome.more) object.Flag("more", true);
  object.End();
}

void WriteResume(std::string_view rid_json, std::span<const ConversationEntry> convs, std::string* out) {
  ObjectWriter object("resume", out);
  object.Json("rid", rid_json);
  object.List("convs", convs, WriteEntry);
  object.End();
}

void WriteAck(const AckPacket& ack, std::string* out) {
  ObjectWriter object("ack", out);
  object.String("conv", ack.conv);
  object.String("id", ack.id);
  if (ack.n != 0) object.Integer("n", ack.n);
  object.Integer("seq", ack.seq);
  object.Integer("epoch", ack.epoch);
  object.Id("mid", ack.mid);
  object.Time("at", ack.at_ms);
  object.String("safe", SafeName(ack.safe));
  if (ack.duplicate) object.Flag("dup", true);
  object.End();
}

void WriteNack(const NackPacket& nack, std::string* out) {
  ObjectWriter object("nack", out);
  object.String("conv", nack.conv);
  object.String("id", nack.id);
  if (nack.n != 0) object.Integer("n", nack.n);
  object.String("code", CodeName(nack.code));
  object.String("message", nack.message);
  if (nack.expected) object.Integer("expected", *nack.expected);
  if (nack.retry_ms >= 0) object.Time("retry", nack.retry_ms);
  object.End();
}

void WriteError(const ErrorPacket& error, std::string* out) {
  ObjectWriter object("error", out);
  object.String("code", CodeName(error.code));
  object.String("message", error.message);
  if (!error.rid_json.empty()) object.Json("rid", error.rid_json);
  if (error.retry_ms >= 0) object.Time("retry", error.retry_ms);
  if (error.pe) object.Integer("pe", *error.pe);
  object.End();
}

void WriteMsg(const Message& message, std::string* out) {
  ObjectWriter object("msg", out);
  object.String("conv", message.conv);
  object.Integer("epoch", message.epoch);
  object.Integer("seq", message.seq);
  object.Id("mid", message.mid);
  object.String("from", message.from);
  object.String("device", message.device);
  object.String("id", message.id);
  object.String("type", message.type);
  object.Json("body", message.body);
  object.Time("at", message.at_ms);
  object.End();
}

void WriteHole(const Hole& hole, std::string* out) {
  ObjectWriter object("hole", out);
  object.String("conv", hole.span.conv);
  object.Integer("epoch", hole.span.epoch);
  object.Integer("from", hole.span.from);
  object.Integer("to", hole.span.to);
  object.String("reason", hole.reason);
  object.End();
}

void WriteHead(std::string_view conv, uint64_t epoch, uint64_t head, uint64_t got, std::string* out) {
  ObjectWriter object("head", out);
  object.String("conv", conv);
  object.Integer("epoch", epoch);
  object.Integer("head", head);
  object.Integer("got", got);
  object.End();
}

void WritePage(std::string_view rid_json, std::span<const PageItem> items, std::span<const Span> covers,
               std::string_view next, std::string* out) {
  ObjectWriter object("page", out);
  object.Json("rid", rid_json);
  object.List("items", items, WriteItem);
  object.List("covers", covers, WriteCover);
  if (!next.empty()) object.String("next", next);
  object.End();
}

void WriteHistoryPage(std::string_view rid_json, std::span<const PageItem> items, bool more, std::string* out) {
  ObjectWriter object("page", out);
  object.Json("rid", rid_json);
  object.List("items", items, WriteItem);
  object.Flag("more", more);
  object.End();
}

void WriteCounts(std::string_view rid_json, uint64_t total, std::span<const ConversationView> convs, bool more,
                 std::string* out) {
  ObjectWriter object("counts", out);
  object.Json("rid", rid_json);
  object.Integer("total", total);
  object.List("convs", convs, WriteCount);
  if (more) object.Flag("more", true);
  object.End();
}

void WriteStatus(std::string_view rid_json, std::string_view conv, const StatusAnswer& answer, std::string* out) {
  ObjectWriter object("status", out);
  object.Json("rid", rid_json);
  object.String("conv", conv);
  object.List("found", answer.found, WriteFound);
  object.List("unknown", answer.unknown, WriteText);
  object.End();
}

void WriteTokens(std::string_view rid_json, std::span<const std::string> tokens, std::string* out) {
  ObjectWriter object("tokens", out);
  object.Json("rid", rid_json);
  object.List("tokens", tokens, WriteText);
  object.End();
}

void WriteOk(std::string_view rid_json, std::string* out) {
  ObjectWriter object("ok", out);
  object.Json("rid", rid_json);
  object.End();
}

void WritePong(std::string* out) { out->append(R"({"t":"pong"})"); }

void WriteBye(std::string_view code, int64_t after_ms, std::string* out) {
  ObjectWriter object("bye", out);
  object.String("code", code);
  object.Time("after", after_ms);
  object.End();
}

void WriteReceipt(std::string_view conv, uint64_t epoch, std::string_view user, uint64_t got, uint64_t read,
                  std::string* out) {
  ObjectWriter object("receipt", out);
  object.String("conv", conv);
  object.Integer("epoch", epoch);
  object.String("user", user);
  object.Integer("got", got);
  object.Integer("read", read);
  object.End();
}

void WriteSignal(std::string_view conv, std::string_view from, std::string_view body, std::string* out) {
  ObjectWriter object("signal", out);
  object.String("conv", conv);
  object.String("from", from);
  object.Json("body", body);
  object.End();
}

void WriteEpoch(std::string_view conv, uint64_t epoch, uint64_t keep, std::string* out) {
  ObjectWriter object("epoch", out);
  object.String("conv", conv);
  object.Integer("epoch", epoch);
  object.Integer("keep", keep);
  object.End();
}

std::string* FrameJoiner::Next() {
  text_.push_back(packets_ == 0 ? '[' : ',');
  ++packets_;
  return &text_;
}

std::string_view FrameJoiner::Finish() {
  if (packets_ <= 1) return std::string_view(text_).substr(packets_);
  text_.push_back(']');
  return text_;
}

void FrameJoiner::Clear() {
  text_.clear();
  packets_ = 0;
}

}  // namespace everyonce
