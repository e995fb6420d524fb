#pragma once

#include <string_view>

namespace everyonce {

// Grammar of the protocol's identifiers (protocol.md, Terms). All take any bytes and never fail otherwise.
bool IsUser(std::string_view text);          // [A-Za-z0-9_.@-]{1,64}, and not `system`
bool IsDevice(std::string_view text);        // [A-Za-z0-9_-]{1,64}, and neither `server` nor `system`
bool IsConversation(std::string_view text);  // IsDirect or IsGroup
bool IsDirect(std::string_view text);        // dm:A:B, two different users, A before B in byte order
bool IsGroup(std::string_view text);         // g:NAME, NAME = [A-Za-z0-9_.@-]{1,96}
bool IsMessageId(std::string_view text);     // [A-Za-z0-9_-]{8,64}
bool IsPackageId(std::string_view text);     // [A-Za-z0-9_-]{1,64}
bool IsMessageType(std::string_view text);   // [a-z0-9._-]{1,32}, not `system` nor `system.*`

// Who acts where the server itself does. Nobody can log in under this name.
inline constexpr std::string_view kSystemUser = "system";

// The two users of a direct conversation, in its order. REQUIRES: IsDirect(conv). Views into `conv`.
struct DirectUsers {
  std::string_view first;
  std::string_view second;
};
DirectUsers UsersOfDirect(std::string_view conv);
// Whether the name alone lets the user in: in a direct conversation only its two.
bool IsParty(std::string_view user, std::string_view conv);

}  // namespace everyonce
