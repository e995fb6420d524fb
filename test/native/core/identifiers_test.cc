#include "core/identifiers.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace everyonce {
namespace {

// Every byte there is, one at a time, against the alphabet as protocol.md writes it.
void ExpectAlphabet(bool (*accepts)(std::string_view), std::string_view before, std::string_view punctuation,
                    bool upper_case) {
  for (int value = 0; value < 256; ++value) {
    const char byte = static_cast<char>(value);
    const bool expected = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                          (upper_case && byte >= 'A' && byte <= 'Z') ||
                          punctuation.find(byte) != std::string_view::npos;
    EXPECT_EQ(accepts(std::string(before) + byte), expected) << "byte " << value;
  }
}

TEST(Identifiers, KeepToTheirAlphabets) {
  ExpectAlphabet(IsUser, "u", "_.@-", true);
  ExpectAlphabet(IsDevice, "d", "_-", true);
  ExpectAlphabet(IsMessageId, "1234567", "_-", true);
  ExpectAlphabet(IsPackageId, "p", "_-", true);
  ExpectAlphabet(IsMessageType, "t", "._-", false);
  ExpectAlphabet(IsGroup, "g:", "_.@-", true);
  ExpectAlphabet(IsDirect, "dm:A:B", "_.@-", true);
}

TEST(Identifiers, KeepToTheirLengths) {
  const auto text = [](size_t bytes) { return std::string(bytes, 'a'); };
  EXPECT_FALSE(IsUser(""));
  EXPECT_TRUE(IsUser(text(1)) && IsUser(text(64)));
  EXPECT_FALSE(IsUser(text(65)));
  EXPECT_TRUE(IsDevice(text(1)) && IsDevice(text(64)));
  EXPECT_FALSE(IsDevice("") || IsDevice(text(65)));
  EXPECT_TRUE(IsMessageId(text(8)) && IsMessageId(text(64)));
  EXPECT_FALSE(IsMessageId(text(7)) || IsMessageId(text(65)));
  EXPECT_TRUE(IsPackageId(text(1)) && IsPackageId(text(64)));
  EXPECT_FALSE(IsPackageId("") || IsPackageId(text(65)));
  EXPECT_TRUE(IsMessageType(text(1)) && IsMessageType(text(32)));
  EXPECT_FALSE(IsMessageType("") || IsMessageType(text(33)));
  EXPECT_TRUE(IsGroup("g:" + text(1)) && IsGroup("g:" + text(96)));
  EXPECT_FALSE(IsGroup("g:") || IsGroup("g:" + text(97)));
}

TEST(Identifiers, LeaveTheServersNamesToTheServer) {
  EXPECT_FALSE(IsUser("system"));
  EXPECT_TRUE(IsUser("server") && IsUser("systems") && IsUser("System"));
  EXPECT_FALSE(IsDevice("system") || IsDevice("server"));
  EXPECT_FALSE(IsMessageType("system") || IsMessageType("system.members") || IsMessageType("system."));
  EXPECT_TRUE(IsMessageType("systems.members") && IsMessageType("system-x"));
}

TEST(Identifiers, ADirectConversationNamesTwoUsersInByteOrder) {
  EXPECT_TRUE(IsDirect("dm:alice:bob"));
  EXPECT_TRUE(IsDirect("dm:B:a")) << "byte order: upper case comes first";
  EXPECT_TRUE(IsDirect("dm:a:a.")) << "a prefix comes first";
  EXPECT_TRUE(IsDirect("dm:" + std::string(64, 'a') + ":" + std::string(64, 'b')));
  for (const std::string_view text : {"dm:bob:alice", "dm:bob:bob", "dm:bob", "dm::bob", "dm:bob:", "dm:a:b:c",
                                      "dm:", "dm", "", "dm:a:system", "DM:a:b", "dm:a b:c", " dm:a:b", "g:a:b"}) {
    EXPECT_FALSE(IsDirect(text)) << text;
  }
  EXPECT_FALSE(IsDirect("dm:a:" + std::string(65, 'b')));
  const std::string conv = "dm:alice@x.org:bob";
  EXPECT_EQ(UsersOfDirect(conv).first, "alice@x.org");
  EXPECT_EQ(UsersOfDirect(conv).second, "bob");
}

TEST(Identifiers, AConversationIsDirectOrAGroup) {
  EXPECT_TRUE(IsConversation("dm:a:b") && IsConversation("g:a"));
  EXPECT_FALSE(IsConversation("a") || IsConversation("") || IsConversation("g") || IsConversation("x:a"));
}

}  // namespace
}  // namespace everyonce
