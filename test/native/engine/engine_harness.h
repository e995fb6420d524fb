#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/deferred_log.h"
#include "engine/engine.h"
#include "log/embedded_log.h"
#include "log/kv.h"

namespace everyonce {

// An engine over an embedded log in memory, driven by hand: time stands still unless a test moves it, and every frame
// that goes out is taken apart into packets.
class EngineHarness {
 public:
  struct Received {
    std::string json;  // one packet
    std::string t;     // its type
    // The value of a top-level key as JSON text ("5", "\"a\"", "{…}"); empty where it is absent.
    std::string operator[](std::string_view key) const;
    uint64_t integer(std::string_view key) const;
  };
  struct Out {
    OutputKind kind;
    uint32_t id;
    uint32_t code;      // kClose
    std::string bytes;  // kAuthenticate, kAnswer, kEvent
  };

  // `deferred`: the log answers later, and Step gives the answers one by one, with a step behind each.
  explicit EngineHarness(EngineOptions options = {}, std::unique_ptr<Kv> kv = nullptr, bool deferred = false);

  // Over a log of the test's own.
  EngineHarness(EngineOptions options, std::unique_ptr<Log> log);

  // A connection up to its welcome, which is returned.
  Received Connect(uint32_t id, std::string_view user, std::string_view device, uint64_t pe = 1,
                   std::string_view more = "");
  // Frames in, one step, output taken apart.
  void Receive(uint32_t id, std::string_view frame);
  void Queue(uint32_t id, std::string_view frame);  // in, without a step
  void Step();
  void StepWithoutAnswers();           // what the log is asked from here on waits for the next Step
  void Advance(int64_t milliseconds);  // time, and a step

  // What connection `id` got since the last call, in order.
  std::vector<Received> Take(uint32_t id);
  // The only packet it got; fails the test otherwise.
  Received TakeOne(uint32_t id);
  std::vector<Out> TakeOthers();
  bool closed(uint32_t id, uint32_t* code = nullptr) const;

  // A send with n, body 1.
  static std::string Send(std::string_view conv, uint64_t n, std::string_view id);

  Engine& engine() { return *engine_; }
  Log& log() { return *log_; }
  Time now{.wall_ms = 1'760'000'000'000, .steady_ms = 1000};

 private:
  void Collect();
  void Split(uint32_t id, std::string_view frame);

  std::unique_ptr<Log> log_;
  DeferredLog* deferred_ = nullptr;
  std::unique_ptr<Engine> engine_;
  std::map<uint32_t, std::vector<Received>> received_;
  std::map<uint32_t, uint32_t> closed_;
  std::vector<Out> others_;
};

}  // namespace everyonce
