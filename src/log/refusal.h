#pragma once

#include <string_view>

#include "core/status.h"
#include "log/log.h"

namespace everyonce {

// Outcomes of commands that stored nothing, in the same words whatever the log is.
Outcome Refusal(Code code, std::string_view message);
// The store could not be read or written: the same again tells.
Outcome Unavailable(std::string_view message);
Outcome Unavailable(const Status& status);
Outcome UnknownConversation();

}  // namespace everyonce
