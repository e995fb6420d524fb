#include "redis/redis_medium.h"

#include "redis/redis_keys.h"

namespace everyonce {

RedisMedium::RedisMedium(uv_loop_t* loop, RedisClient* client)
    : client_(client),
      subscriptions_(
          loop, client, [this](uint32_t channel, std::string_view payload) { said_(channel, payload); },
          [this](uint32_t channel, bool again) { began_(channel, again); }) {
  client_->OnTopology([this] { subscriptions_.Follow(); });
}

void RedisMedium::Listen(Said said, Began began) {
  said_ = std::move(said);
  began_ = std::move(began);
}

void RedisMedium::Publish(uint32_t channel, std::string payload, std::function<void(bool ok)> done) {
  const std::string name = RedisSubscriptions::NameOf(channel);
  // Not again after a cut: it would come behind later ones, and what is lost is read.
  client_->Command(SlotOfKey(name), {"SPUBLISH", name, std::move(payload)}, false,
                   [done = std::move(done)](const RedisResult& result) { done(result.status.ok()); });
}

void RedisMedium::Heads(const std::vector<std::string>& convs, Relay::HeadsDone done) {
  std::vector<std::string> keys;
  keys.reserve(convs.size());
  for (const std::string& conv : convs) keys.push_back(ConversationKeys(conv).Meta());
  client_->RunScript(*FindLuaScript("heads"), keys, {},
                     [count = convs.size(), done = std::move(done)](const RedisResult& result) {
                       const std::vector<RedisReply>& reply = result.reply.elements;
                       const bool ok = result.status.ok() && reply.size() == 2 * count;
                       std::vector<Relay::Head> heads(ok ? count : 0);
                       for (size_t i = 0; i < heads.size(); ++i) {
                         (void)reply[2 * i].ToNumber(&heads[i].epoch);
                         (void)reply[2 * i + 1].ToNumber(&heads[i].seq);
                       }
                       done(ok, std::move(heads));
                     });
}

void RedisMedium::People(const std::vector<std::pair<std::string, std::string>>& devices, Relay::PeopleDone done) {
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  for (const auto& [user, device] : devices) {
    keys.push_back(UserDevicesKey(user));
    keys.push_back(UserIndexKey(user));
    arguments.push_back(device);
  }
  client_->RunScript(*FindLuaScript("people"), keys, arguments,
                     [count = devices.size(), done = std::move(done)](const RedisResult& result) {
                       const std::vector<RedisReply>& reply = result.reply.elements;
                       const bool ok = result.status.ok() && reply.size() == 2 * count;
                       std::vector<Relay::Person> people(ok ? count : 0);
                       for (size_t i = 0; i < people.size(); ++i) {
                         uint64_t hello_ms = 0;
                         (void)reply[2 * i].ToNumber(&hello_ms);
                         people[i].hello_ms = static_cast<int64_t>(hello_ms);
                         (void)reply[2 * i + 1].ToNumber(&people[i].conversations);
                       }
                       done(ok, std::move(people));
                     });
}

}  // namespace everyonce
