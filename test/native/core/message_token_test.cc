#include "core/message_token.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/identifiers.h"

namespace everyonce {
namespace {

constexpr int64_t kExpiresMs = 1'760'000'000'123;
const std::string kKey = "a key of thirty-two bytes, secret";

TEST(MessageToken, IsAMessageIdThatItsUserMayUse) {
  const TokenSigner signer(kKey);
  const std::string token = signer.Issue("alice", kExpiresMs, 7, 1);
  EXPECT_EQ(token.size(), kTokenBytes);
  EXPECT_TRUE(IsMessageId(token)) << token;
  EXPECT_TRUE(LooksLikeToken(token));
  int64_t expires_ms = 0;
  EXPECT_TRUE(signer.Verify("alice", token, &expires_ms));
  EXPECT_EQ(expires_ms, kExpiresMs);
  EXPECT_FALSE(signer.Verify("bob", token, &expires_ms));
  EXPECT_FALSE(signer.Verify("", token, &expires_ms));
  EXPECT_FALSE(TokenSigner(kKey + "!").Verify("alice", token, &expires_ms));
  EXPECT_TRUE(TokenSigner(kKey).Verify("alice", token, &expires_ms)) << "the same key after a restart";
}

TEST(MessageToken, NoTwoAreAlike) {
  const TokenSigner signer(kKey);
  std::set<std::string> tokens;
  for (uint32_t count = 0; count < 1000; ++count) tokens.insert(signer.Issue("alice", kExpiresMs, 7, count));
  for (uint64_t random = 100; random < 1100; ++random) tokens.insert(signer.Issue("alice", kExpiresMs, random, 1));
  EXPECT_EQ(tokens.size(), 2000u);
}

// Each bit of each byte, and every other character at each place.
TEST(MessageToken, IsRefusedWhereAnythingOfItIsChanged) {
  const TokenSigner signer(kKey);
  const std::string token = signer.Issue("alice", kExpiresMs, 0x0123456789abcdef, 77);
  int64_t expires_ms = 0;
  for (size_t i = 0; i < token.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      if (static_cast<char>(byte) == token[i]) continue;
      std::string forged = token;
      forged[i] = static_cast<char>(byte);
      EXPECT_FALSE(signer.Verify("alice", forged, &expires_ms)) << i << " " << byte;
    }
  }
  EXPECT_FALSE(signer.Verify("alice", token.substr(1), &expires_ms));
  EXPECT_FALSE(signer.Verify("alice", token + "A", &expires_ms));
  EXPECT_FALSE(signer.Verify("alice", token.substr(0, kTokenBytes - 4), &expires_ms));
  EXPECT_FALSE(signer.Verify("alice", "", &expires_ms));
}

TEST(MessageToken, KeepsClaimsThroughTheStore) {
  TokenClaim claim;
  claim.expires_ms = kExpiresMs;
  claim.conv = "dm:alice:bob";
  claim.user = "alice";
  claim.device = "phone";
  claim.n = 12;
  claim.seq = 345;
  const std::string value = claim.Encode();
  TokenClaim read;
  ASSERT_TRUE(TokenClaim::Decode(value, &read));
  EXPECT_EQ(read.expires_ms, kExpiresMs);
  EXPECT_EQ(read.seq, 345u);
  EXPECT_TRUE(read.IsOf("dm:alice:bob", "alice", "phone", 12));
  EXPECT_FALSE(read.IsOf("dm:alice:carl", "alice", "phone", 12));
  EXPECT_FALSE(read.IsOf("dm:alice:bob", "bob", "phone", 12));
  EXPECT_FALSE(read.IsOf("dm:alice:bob", "alice", "laptop", 12));
  EXPECT_FALSE(read.IsOf("dm:alice:bob", "alice", "phone", 13));
  EXPECT_FALSE(read.Forgettable(kExpiresMs));
  EXPECT_TRUE(read.Forgettable(kExpiresMs + TokenClaim::kMarginMs));
  for (size_t size = 0; size < value.size(); ++size) EXPECT_FALSE(TokenClaim::Decode(value.substr(0, size), &read));
  EXPECT_FALSE(TokenClaim::Decode(value + "x", &read));
}

}  // namespace
}  // namespace everyonce
