#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/sha256.h"

namespace everyonce {

// Message tokens: ids that the server gives out beforehand, each for one message of one user, and that run out
// (protocol.md, Tokens). All that is told by a token stands in it, signed, so that one that is never used costs
// nothing; what was used is the log's to remember.
//
// A token is `eo1-` and 44 characters of base64url: 6 bytes when it runs out (Unix milliseconds, big-endian), 11 of
// chance, and 16 of HMAC-SHA-256 over a fixed word, the user and these. 33 bytes fill 44 characters whole, so no bit of
// a token is without meaning. It has the grammar of a message id.

inline constexpr size_t kTokenBytes = 48;
inline constexpr size_t kMinTokenKeyBytes = 32;

// What is asked of the id of a message.
enum class TokenCheck : uint8_t {
  kNone,      // it may be any
  kIfToken,   // one that has a token's shape must be good; others pass
  kRequired,  // it must be a good token
};

// A token's shape, whoever made it.
bool LooksLikeToken(std::string_view id);

// Makes and judges tokens under one key. Pure: time and chance are passed in.
class TokenSigner {
 public:
  // `key`: of at least kMinTokenKeyBytes, secret.
  explicit TokenSigner(std::string_view key);

  // A token for `user` that is good until `expires_ms` (Unix milliseconds, below 2^48). `random` and `count` must not
  // both repeat: of them the token is made what no other is.
  std::string Issue(std::string_view user, int64_t expires_ms, uint64_t random, uint32_t count) const;

  // True where `id` is a token that this key signed for `user`. *expires_ms: when it runs out, which is not judged.
  bool Verify(std::string_view user, std::string_view id, int64_t* expires_ms) const;

 private:
  std::string Sign(std::string_view user, std::string_view payload) const;

  HmacSha256 mac_;
};

// What is kept of a token that was used: for which message, until the token runs out. Only the same message may come
// under it again.
struct TokenClaim {
  int64_t expires_ms = 0;
  std::string conv;
  std::string user;
  std::string device;
  uint64_t n = 0;    // 0: it came without
  uint64_t seq = 0;  // where it was stored

  bool IsOf(std::string_view of_conv, std::string_view of_user, std::string_view of_device, uint64_t of_n) const {
    return conv == of_conv && user == of_user && device == of_device && n == of_n;
  }
  // May be forgotten: the token is refused for its age, also by a clock that went back a little over a restart.
  bool Forgettable(int64_t now_ms) const { return now_ms >= expires_ms + kMarginMs; }

  std::string Encode() const;
  [[nodiscard]] static bool Decode(std::string_view value, TokenClaim* claim);

  static constexpr int64_t kMarginMs = 3'600'000;
};

}  // namespace everyonce
