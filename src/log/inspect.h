#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"
#include "log/kv.h"

namespace everyonce {

// What a store holds, for a person to look at: read straight from the Kv, whoever may see it, changing nothing. Pages
// are JSON objects; `everyonce inspect` prints them.

// {"convs":[summary…],"more":bool}: conversations in byte order behind `after`, at most `limit`.
// A summary is {"conv","head","epoch","epochs":[[epoch,first]…],"created","last","creator"?,"historyAll"?,"members":n,
// "renew"?}: `renew` true where a new epoch is due, which begins when the conversation is next touched.
Status InspectConversations(Kv* kv, std::string_view after, size_t limit, std::string* json);

// {"conv":summary,"names":[user…],"messages":[…],"more":bool}: messages above `after_seq`, ascending, at most `limit`
// and about a MiB; `names` are the members, on the first page (after_seq 0) only. A message is {"seq","epoch","mid",
// "at","from","device","n"?,"id","type","body"}. kUnknownConv where nothing is stored under that name; kStoreCorrupt
// names the conversation and the place.
Status InspectConversation(Kv* kv, std::string_view conv, uint64_t after_seq, size_t limit, std::string* json);

}  // namespace everyonce
