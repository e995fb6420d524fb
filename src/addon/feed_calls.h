#pragma once

#include <napi.h>

#include "engine/feed_call.h"

namespace everyonce {

// Reads what Engine.feed of lib/server/native.js is given: an object with `action` and what belongs to it. False: an
// error is pending.
bool ReadFeedCall(const Napi::Value& value, FeedCall* call);

}  // namespace everyonce
