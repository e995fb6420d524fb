#include "log/inspect.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/byte_codec.h"
#include "core/identifiers.h"
#include "core/json_writer.h"
#include "core/limits.h"
#include "log/conversation.h"

namespace everyonce {
namespace {

Status ReadGeneration(Kv* kv, uint64_t* generation) {
  std::string value;
  bool found = false;
  *generation = 0;
  Status status = kv->Get(Space::kMeta, key::Generation(), &value, &found);
  if (!status.ok() || !found) return status;
  *generation = ByteReader(value).Fixed64();
  return status;
}

// When the newest message was stored; 0: there is none.
Status LastAt(Conversation* conversation, int64_t* at_ms) {
  std::string storage;
  LogRecord record;
  bool found = false;
  Status status = conversation->ReadLog(conversation->head(), &storage, &record, &found);
  *at_ms = found ? record.at_ms : 0;
  return status;
}

Status WriteSummary(Kv* kv, Conversation* conversation, uint64_t generation, std::string* out) {
  std::string value;
  bool found = false;
  ConversationRecord record;
  Status status = kv->Get(Space::kConversations, key::Conversation(conversation->conv()), &value, &found);
  if (!status.ok()) return status;
  if (!found || !ConversationRecord::Decode(value, &record)) {
    return Status::Error(Code::kStoreCorrupt, conversation->conv() + ": no conversation record");
  }
  int64_t last_at_ms = 0;
  status = LastAt(conversation, &last_at_ms);
  if (!status.ok()) return status;
  ObjectWriter writer(out);
  writer.String("conv", conversation->conv());
  writer.Integer("head", conversation->head());
  writer.Integer("epoch", conversation->epoch());
  writer.List("epochs", conversation->epochs().entries(), [](const EpochTable::Entry& entry, std::string* text) {
    text->push_back('[');
    WriteInteger(entry.epoch, text);
    text->push_back(',');
    WriteInteger(entry.first_seq, text);
    text->push_back(']');
  });
  if (conversation->floor() != 0) writer.Integer("removedTo", conversation->floor());
  writer.Time("created", record.created_at_ms);
  if (last_at_ms != 0) writer.Time("last", last_at_ms);
  if (!record.creator.empty()) writer.String("creator", record.creator);
  if (record.history_all) writer.Flag("historyAll", true);
  writer.Integer("members", conversation->members()->size());
  if (conversation->generation() != generation) writer.Flag("renew", true);
  writer.End();
  return status;
}

void WriteRecord(const EpochTable& epochs, uint64_t seq, const LogRecord& record, std::string* out) {
  ObjectWriter writer(out);
  writer.Integer("seq", seq);
  writer.Integer("epoch", epochs.EpochOf(seq));
  writer.Id("mid", record.mid);
  writer.Time("at", record.at_ms);
  writer.String("from", record.from);
  writer.String("device", record.device);
  if (record.n != 0) writer.Integer("n", record.n);
  writer.String("id", record.id);
  writer.String("type", record.type);
  writer.Json("body", record.body);
  writer.End();
}

// The page's messages, joined by commas. `more`: there are further ones.
Status WriteMessages(Conversation* conversation, uint64_t after_seq, size_t limit, std::string* out, bool* more) {
  *more = false;
  after_seq = std::max(after_seq, conversation->floor());
  if (after_seq >= conversation->head()) return Status::Ok();
  Status inner;
  size_t count = 0;
  Status status = conversation->ScanLog(after_seq + 1, conversation->head(), [&](uint64_t seq, std::string_view value) {
    LogRecord record;
    if (count == limit || out->size() > kMaxPageBytes) {
      *more = true;
      return false;
    }
    if (!DecodeLogRecord(value, &record)) {
      inner =
          Status::Error(Code::kStoreCorrupt, conversation->conv() + ": no log record at seq " + std::to_string(seq));
      return false;
    }
    if (count++ > 0) out->push_back(',');
    WriteRecord(conversation->epochs(), seq, record, out);
    return true;
  });
  return status.ok() ? inner : status;
}

}  // namespace

Status InspectConversations(Kv* kv, std::string_view after, size_t limit, std::string* json) {
  uint64_t generation = 0;
  Status status = ReadGeneration(kv, &generation);
  if (!status.ok()) return status;
  const std::string all = key::Conversation("");
  std::string from = key::Conversation(after);
  if (!after.empty()) from.push_back('\0');  // the next key
  std::vector<std::string> convs;
  bool more = false;
  status = kv->Scan(Space::kConversations, from, key::After(all), false, [&](std::string_view name, std::string_view) {
    more = convs.size() == limit;
    if (!more) convs.emplace_back(name.substr(all.size()));
    return !more;
  });
  std::string list;
  for (const std::string& conv : convs) {
    StagedStore unchanged(kv);
    std::unique_ptr<Conversation> conversation;
    if (status.ok()) status = Conversation::Load(&unchanged, conv, &conversation);
    if (status.ok() && !list.empty()) list.push_back(',');
    if (status.ok()) status = WriteSummary(kv, conversation.get(), generation, &list);
  }
  if (!status.ok()) return status;
  ObjectWriter writer(json);
  writer.Json("convs", "[" + list + "]");
  writer.Flag("more", more);
  writer.End();
  return status;
}

Status InspectConversation(Kv* kv, std::string_view conv, uint64_t after_seq, size_t limit, std::string* json) {
  if (!IsConversation(conv)) return Status::Error(Code::kBadRequest, "no conversation has such a name", "conv");
  uint64_t generation = 0;
  Status status = ReadGeneration(kv, &generation);
  StagedStore unchanged(kv);
  std::unique_ptr<Conversation> conversation;
  if (status.ok()) status = Conversation::Load(&unchanged, conv, &conversation);
  if (!status.ok()) return status;
  if (conversation == nullptr || !conversation->exists()) {
    return Status::Error(Code::kUnknownConv, "nothing is stored under the name " + std::string(conv));
  }
  std::string summary;
  std::string messages;
  bool more = false;
  status = WriteSummary(kv, conversation.get(), generation, &summary);
  if (status.ok()) status = WriteMessages(conversation.get(), after_seq, limit, &messages, &more);
  if (!status.ok()) return status;
  ObjectWriter writer(json);
  writer.Json("conv", summary);
  if (after_seq == 0) {
    writer.List("names", *conversation->members(),
                [](const std::string& name, std::string* out) { WriteJsonString(name, out); });
  }
  writer.Json("messages", "[" + messages + "]");
  writer.Flag("more", more);
  writer.End();
  return status;
}

}  // namespace everyonce
