-- The current members of a group. Writes nothing.
--
-- KEYS[1] meta  [2] members
-- Replies: {} no such group, or {version, {members}}
-- @include conversation
local c = load_conversation(KEYS[1], '', KEYS[2], false)
if not c.exists then return {} end
return {c.version, member_names(c)}
