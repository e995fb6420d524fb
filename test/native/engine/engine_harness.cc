#include "engine/engine_harness.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "log/memory_kv.h"

namespace everyonce {
namespace {

std::string IdText(std::string_view id) { return id.size() >= 8 ? std::string(id) : std::string(id) + "-00000000"; }

}  // namespace

std::string EngineHarness::Received::operator[](std::string_view key) const {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::element value;
  if (parser.parse(json).get(root) != simdjson::SUCCESS || root[key].get(value) != simdjson::SUCCESS) return {};
  return simdjson::minify(value);
}

uint64_t EngineHarness::Received::integer(std::string_view key) const {
  const std::string text = (*this)[key];
  EXPECT_FALSE(text.empty()) << key << " is missing in " << json;
  return text.empty() ? 0 : std::stoull(text);
}

EngineHarness::EngineHarness(EngineOptions options, std::unique_ptr<Kv> kv, bool deferred) {
  if (kv == nullptr) kv = std::make_unique<MemoryKv>();
  EmbeddedLogOptions log_options;
  log_options.random = [state = uint64_t{1}]() mutable { return state = state * 6364136223846793005u + 1; };
  log_options.tokens = options.tokens != TokenCheck::kNone;
  Status status;
  log_ = OpenEmbeddedLog(std::move(kv), std::move(log_options), &status);
  EXPECT_TRUE(status.ok()) << status.message;
  if (deferred) {
    auto later = std::make_unique<DeferredLog>(std::move(log_));
    deferred_ = later.get();
    log_ = std::move(later);
  }
  engine_ = std::make_unique<Engine>(log_.get(), std::move(options));
}

EngineHarness::EngineHarness(EngineOptions options, std::unique_ptr<Log> log) : log_(std::move(log)) {
  engine_ = std::make_unique<Engine>(log_.get(), std::move(options));
}

EngineHarness::Received EngineHarness::Connect(uint32_t id, std::string_view user, std::string_view device, uint64_t pe,
                                               std::string_view more) {
  engine_->Open(id);
  Receive(id, R"({"t":"hello","v":1,"device":")" + std::string(device) + R"(","pe":)" + std::to_string(pe) +
                  std::string(more) + "}");
  engine_->Accept(id, user);
  Step();
  std::vector<Received> packets = Take(id);
  EXPECT_EQ(packets.size(), 1u);
  return packets.empty() ? Received{} : packets.front();
}

void EngineHarness::Queue(uint32_t id, std::string_view frame) { engine_->Receive(id, frame, now); }

void EngineHarness::Receive(uint32_t id, std::string_view frame) {
  Queue(id, frame);
  Step();
}

void EngineHarness::Step() {
  for (StepWithoutAnswers(); deferred_ != nullptr && deferred_->waiting(); StepWithoutAnswers()) {
    deferred_->AnswerOne();
  }
}

void EngineHarness::StepWithoutAnswers() {
  do {
    engine_->Step(now);
    Collect();
  } while (engine_->HasWork());
}

void EngineHarness::Advance(int64_t milliseconds) {
  now.wall_ms += milliseconds;
  now.steady_ms += milliseconds;
  Step();
}

void EngineHarness::Collect() {
  const OutputBatch batch = engine_->TakeOutput();
  for (size_t i = 0; i < batch.index.size(); i += 4) {
    const auto kind = static_cast<OutputKind>(batch.index[i]);
    const uint32_t id = batch.index[i + 1];
    if (kind == OutputKind::kWrite) {
      Split(id, std::string_view(batch.bytes).substr(batch.index[i + 2], batch.index[i + 3]));
    } else if (kind == OutputKind::kClose) {
      closed_[id] = batch.index[i + 2];
    } else {
      others_.push_back({kind, id, 0, batch.bytes.substr(batch.index[i + 2], batch.index[i + 3])});
    }
  }
}

// One WebSocket frame into its packets.
void EngineHarness::Split(uint32_t id, std::string_view frame) {
  while (!frame.empty()) {
    ASSERT_EQ(static_cast<uint8_t>(frame[0]), 0x81);
    uint64_t length = static_cast<uint8_t>(frame[1]);
    size_t header = 2;
    const size_t wide = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (wide > 0) length = 0;
    for (size_t i = 0; i < wide; ++i) length = length << 8 | static_cast<uint8_t>(frame[header++]);
    ASSERT_LE(header + length, frame.size());
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    ASSERT_EQ(parser.parse(simdjson::padded_string(frame.substr(header, length))).get(root), simdjson::SUCCESS)
        << frame.substr(header, length);
    auto add = [&](simdjson::dom::element packet) {
      std::string_view t;
      ASSERT_EQ(packet["t"].get(t), simdjson::SUCCESS);
      received_[id].push_back({simdjson::minify(packet), std::string(t)});
    };
    simdjson::dom::array array;
    if (root.get(array) == simdjson::SUCCESS) {
      for (const simdjson::dom::element packet : array) add(packet);
    } else {
      add(root);
    }
    frame.remove_prefix(header + length);
  }
}

std::vector<EngineHarness::Received> EngineHarness::Take(uint32_t id) { return std::exchange(received_[id], {}); }

EngineHarness::Received EngineHarness::TakeOne(uint32_t id) {
  std::vector<Received> packets = Take(id);
  EXPECT_EQ(packets.size(), 1u) << (packets.empty() ? "nothing came" : packets.back().json);
  return packets.empty() ? Received{} : packets.front();
}

std::vector<EngineHarness::Out> EngineHarness::TakeOthers() { return std::exchange(others_, {}); }

bool EngineHarness::closed(uint32_t id, uint32_t* code) const {
  const auto found = closed_.find(id);
  if (found == closed_.end()) return false;
  if (code != nullptr) *code = found->second;
  return true;
}

std::string EngineHarness::Send(std::string_view conv, uint64_t n, std::string_view id) {
  return R"({"t":"send","conv":")" + std::string(conv) + R"(","id":")" + IdText(id) + R"(","n":)" + std::to_string(n) +
         R"(,"body":1})";
}

}  // namespace everyonce
