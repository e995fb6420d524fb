// Groups: who is in them. Each change is a message with a seq of its own, so membership has a place in the order
// (protocol.md, Conversations).

#include <algorithm>
#include <utility>

#include "core/identifiers.h"
#include "log/commit.h"

namespace everyonce {
namespace {

using Names = std::vector<std::string>;

Names SortedOnce(Names names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Users' names need no escapes in JSON (their grammar).
void AppendNames(const char* name, const Names& names, std::string* body) {
  if (names.empty()) return;
  body->append("\"").append(name).append("\":[");
  for (const std::string& user : names) {
    if (body->back() != '[') body->push_back(',');
    body->append("\"").append(user).append("\"");
  }
  body->append("],");
}

std::string BodyOf(const Names& added, const Names& removed, const std::string& by) {
  std::string body = "{";
  AppendNames("add", added, &body);
  AppendNames("remove", removed, &body);
  return body.append("\"by\":\"").append(by).append("\"}");
}

Outcome StoreChange(LogContext* context, Conversation* conversation, const Command& command, Names added,
                    Names removed) {
  Message message;
  message.mid = context->NextMid();
  message.from = "system";
  message.device = "system";
  message.id = std::to_string(message.mid);
  message.type = "system.members";
  message.body = BodyOf(added, removed, command.user);
  std::string body = message.body;
  // Those who are removed see the message that removes them; those who are added, the one that adds them.
  const std::shared_ptr<const MemberList> before = conversation->members();
  Outcome outcome = Store(context, conversation, std::move(message));
  if (outcome.code != Code::kOk) return outcome;
  conversation->ChangeMembers(added, removed);
  outcome.audience = removed.empty() ? conversation->members() : before;
  outcome.body = std::move(body);
  outcome.added = std::move(added);
  outcome.removed = std::move(removed);
  return outcome;
}

Outcome DecideCreate(LogContext* context, const Command& command, const Names& named) {
  Conversation* conversation = nullptr;
  Status status = context->Find(command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (command.authorised == false) return Refusal(Code::kForbidden, "you may not create this conversation");
  if (conversation != nullptr) {
    // The same call again, also when a member has left since.
    const bool same = conversation->creator() == command.user &&
                      std::all_of(named.begin(), named.end(),
                                  [&](const std::string& user) { return conversation->SpansOf(user) != nullptr; });
    return same ? Outcome{} : Refusal(Code::kExists, "a conversation of this name exists");
  }
  conversation = context->NewGroup(command.conv);
  context->Touch(conversation);
  conversation->Create(command.user, command.history_all);
  Names added = named;
  if (command.user != kSystemUser) added.push_back(command.user);
  return StoreChange(context, conversation, command, SortedOnce(std::move(added)), {});
}

Outcome DecideLeave(LogContext* context, Conversation* conversation, const Command& command) {
  if (conversation == nullptr || conversation->SpansOf(command.user) == nullptr) return UnknownConversation();
  if (command.authorised == false) return Refusal(Code::kForbidden, "you may not leave this conversation");
  if (!conversation->IsMember(command.user)) return {};
  return StoreChange(context, conversation, command, {}, {command.user});
}

}  // namespace

Outcome DecideMembers(LogContext* context, const Command& command) {
  Outcome stale;
  if (RefusedAsStale(context, command, &stale)) return stale;
  if (!IsGroup(command.conv))
    return Refusal(Code::kBadRequest, "\"conv\" is a direct conversation, which has its two members for ever");
  const Names named = SortedOnce(command.members);
  if (command.action == MembersAction::kCreate) return DecideCreate(context, command, named);
  Conversation* conversation = nullptr;
  Status status = context->Find(command.conv, &conversation);
  if (!status.ok()) return Unavailable(status);
  if (command.action == MembersAction::kLeave) return DecideLeave(context, conversation, command);
  if (conversation == nullptr) return UnknownConversation();

  const bool creator = conversation->creator() == command.user;
  if (!command.authorised.value_or(creator)) {
    // A stranger can't tell whether the conversation exists.
    if (!creator && !conversation->IsMember(command.user)) return UnknownConversation();
    return Refusal(Code::kForbidden, "only its creator may change who is in this conversation");
  }
  const bool add = command.action == MembersAction::kAdd;
  Names changed;
  for (const std::string& user : named) {
    if (conversation->IsMember(user) != add) changed.push_back(user);
  }
  if (changed.empty()) return {};
  return add ? StoreChange(context, conversation, command, std::move(changed), {})
             : StoreChange(context, conversation, command, {}, std::move(changed));
}

}  // namespace everyonce
