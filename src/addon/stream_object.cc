#include "addon/stream_object.h"

#include <algorithm>
#include <vector>

#include "addon/errors.h"

namespace everyonce {
namespace {

// What push answers beside a place or the next number; the same stand in lib/primitives/native.js.
constexpr double kHeld = -1;
constexpr double kDuplicate = -2;
constexpr double kBeyond = -3;
constexpr double kNoRoom = -4;

uint64_t Seq(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }
int64_t Time(const Napi::Value& value) { return value.As<Napi::Number>().Int64Value(); }

}  // namespace

Napi::Function StreamObject::Define(Napi::Env env) {
  using Self = StreamObject;
  return DefineClass(env, "StreamReorder",
                     {InstanceMethod<&Self::Push>("push"), InstanceMethod<&Self::PushBatch>("pushBatch"),
                      InstanceMethod<&Self::Hole>("hole"), InstanceMethod<&Self::DueGaps>("dueGaps"),
                      InstanceMethod<&Self::NextDeadline>("nextDeadline"), InstanceMethod<&Self::Stats>("stats"),
                      InstanceMethod<&Self::Close>("close")});
}

// (isInsert, start, maxGap, maxBytes, timeoutMs); start -1: none
StreamObject::StreamObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<StreamObject>(info), env_(info.Env()), timer_(Time(info[4])) {
  const int64_t start = Time(info[1]);
  if (info[0].ToBoolean()) {
    index_ = std::make_unique<SeqIndex>(Seq(info[2]));
    if (start > 0) index_->Close(0, static_cast<uint64_t>(start) - 1);
    return;
  }
  StreamReorderOptions options;
  options.start = static_cast<uint64_t>(start);
  options.max_gap = info[2].As<Napi::Number>().Uint32Value();
  options.max_bytes = static_cast<size_t>(Seq(info[3]));
  options.timeout_ms = Time(info[4]);
  stream_ = std::make_unique<StreamReorder>(options);
}

bool StreamObject::NeedOpen() const {
  if (stream_ != nullptr || index_ != nullptr) return true;
  Throw(env_, "CLOSED", "the reorder buffer is closed");
  return false;
}

double StreamObject::Take(uint64_t seq, size_t bytes, int64_t now_ms) {
  if (index_ != nullptr) return Insert(seq, now_ms);
  switch (stream_->Push(seq, bytes, now_ms)) {
    case StreamReorder::Verdict::kDeliver:
      return static_cast<double>(stream_->next());
    case StreamReorder::Verdict::kHeld:
      return kHeld;
    case StreamReorder::Verdict::kDuplicate:
      return kDuplicate;
    case StreamReorder::Verdict::kBeyond:
      return kBeyond;
    case StreamReorder::Verdict::kNoRoom:
      break;
  }
  return kNoRoom;
}

double StreamObject::InsertOne(uint64_t seq) {
  uint64_t place = 0;
  const SeqIndex::Verdict verdict = index_->Insert(seq, &place);
  if (verdict == SeqIndex::Verdict::kKnown) return kDuplicate;
  return verdict == SeqIndex::Verdict::kFull ? kNoRoom : static_cast<double>(place);
}

double StreamObject::Insert(uint64_t seq, int64_t now_ms) {
  const double answer = InsertOne(seq);
  if (answer >= 0) Watch(now_ms);
  return answer;
}

void StreamObject::Watch(int64_t now_ms) {
  if (index_->has_gap()) {
    timer_.Arm(now_ms);
  } else {
    timer_.Disarm();
  }
}

// (seq, bytes, nowMs)
Napi::Value StreamObject::Push(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  return Napi::Number::New(env_, Take(Seq(info[0]), static_cast<size_t>(Seq(info[1])), Time(info[2])));
}

// (seqs: Float64Array of checked numbers, sizes: Float64Array as long, nowMs) → Float64Array of what push answers
Napi::Value StreamObject::PushBatch(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  const auto seqs = info[0].As<Napi::Float64Array>();
  const auto sizes = info[1].As<Napi::Float64Array>();
  const size_t count = std::min(seqs.ElementLength(), sizes.ElementLength());
  auto answers = Napi::Float64Array::New(env_, count);
  if (env_.IsExceptionPending()) return env_.Undefined();
  const int64_t now_ms = Time(info[2]);
  const double* seq = seqs.Data();
  const double* bytes = sizes.Data();
  double* out = answers.Data();
  size_t taken = 0;
  if (index_ == nullptr) {
    for (; taken < count; ++taken) {
      out[taken] = Take(static_cast<uint64_t>(seq[taken]), static_cast<size_t>(bytes[taken]), now_ms);
    }
    return answers;
  }
  // The caller is told of the first that there was no room for, and so must not lose one behind it.
  for (; taken < count; ++taken) {
    out[taken] = InsertOne(static_cast<uint64_t>(seq[taken]));
    if (out[taken] == kNoRoom) break;
  }
  std::fill(out + taken, out + count, kNoRoom);
  Watch(now_ms);
  return answers;
}

// (from, to, nowMs) → the next number where it has moved, kBeyond where not all could be remembered, else kHeld
Napi::Value StreamObject::Hole(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  double answer = kHeld;
  if (index_ != nullptr) {
    index_->Close(Seq(info[0]), Seq(info[1]));
    Watch(Time(info[2]));
  } else {
    bool is_beyond = false;
    const bool moved = stream_->Hole(Seq(info[0]), Seq(info[1]), Time(info[2]), &is_beyond);
    if (is_beyond) answer = kBeyond;
    if (moved) answer = static_cast<double>(stream_->next());
  }
  return Napi::Number::New(env_, answer);
}

// (nowMs) → [from, to, from, to, …]
Napi::Value StreamObject::DueGaps(const Napi::CallbackInfo& info) {
  if (!NeedOpen()) return env_.Undefined();
  std::vector<SeqRange> gaps;
  if (stream_ != nullptr) {
    gaps = stream_->DueGaps(Time(info[0]));
  } else if (timer_.TakeDue(Time(info[0]))) {
    gaps = index_->Gaps(StreamReorder::kMaxGapsTold);
  }
  auto flat = Napi::Array::New(env_, 2 * gaps.size());
  uint32_t at = 0;
  for (const SeqRange& gap : gaps) {
    flat.Set(at++, static_cast<double>(gap.from));
    flat.Set(at++, static_cast<double>(gap.to));
  }
  return flat;
}

Napi::Value StreamObject::NextDeadline(const Napi::CallbackInfo&) {
  int64_t deadline_ms = INT64_MAX;
  if (stream_ != nullptr) deadline_ms = stream_->NextDeadline();
  if (index_ != nullptr) deadline_ms = timer_.deadline_ms();
  return Napi::Number::New(env_, static_cast<double>(deadline_ms));
}

Napi::Value StreamObject::Stats(const Napi::CallbackInfo&) {
  if (!NeedOpen()) return env_.Undefined();
  auto stats = Napi::Object::New(env_);
  const auto set = [&](const char* name, uint64_t value) { stats.Set(name, static_cast<double>(value)); };
  if (stream_ != nullptr) {
    set("next", stream_->next());
    set("held", stream_->held());
    set("bytes", stream_->bytes());
  } else {
    set("shown", index_->size());
    set("ranges", index_->ranges());
  }
  return stats;
}

Napi::Value StreamObject::Close(const Napi::CallbackInfo&) {
  stream_.reset();
  index_.reset();
  return env_.Undefined();
}

}  // namespace everyonce
