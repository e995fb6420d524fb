// The library of what runs on a loop is compiled with Node's uv.h, and linked here with the system's libuv, whose
// version may be another: sound as long as both hold the same things in the same places.
#include <gtest/gtest.h>
#include <uv.h>

namespace everyonce {
namespace {

TEST(Libuv, MakesHandlesOfTheSizeThatTheHeaderSays) {
  EXPECT_EQ(uv_version() >> 16, static_cast<unsigned>(UV_VERSION_MAJOR));
  EXPECT_EQ(uv_loop_size(), sizeof(uv_loop_t));
#define EXPECT_SIZE_OF_HANDLE(name, type) EXPECT_EQ(uv_handle_size(UV_##name), sizeof(uv_##type##_t)) << #type;
  UV_HANDLE_TYPE_MAP(EXPECT_SIZE_OF_HANDLE)
#undef EXPECT_SIZE_OF_HANDLE
#define EXPECT_SIZE_OF_REQUEST(name, type) EXPECT_EQ(uv_req_size(UV_##name), sizeof(uv_##type##_t)) << #type;
  UV_REQ_TYPE_MAP(EXPECT_SIZE_OF_REQUEST)
#undef EXPECT_SIZE_OF_REQUEST
}

}  // namespace
}  // namespace everyonce
