#pragma once

#include <string_view>

namespace everyonce {

// A script of lua/, as scripts/embed-lua.mjs put it into the build.
struct LuaScript {
  std::string_view name;  // the file's, without .lua
  std::string_view sha1;  // what EVALSHA calls it by
  std::string_view text;
};

// Null where there is no such script.
const LuaScript* FindLuaScript(std::string_view name);

}  // namespace everyonce
