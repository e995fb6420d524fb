-- Conversations as a user and a device have them, of one partition; also what became of positions. Writes nothing.
--
-- KEYS per conversation (5): meta, log, members, marks, own messages of the user there
-- ARGV[1] user  [2] device (empty: got is 0)  ARGV per conversation (3): kind (d, g), epoch and seq of a position (0 0: none)
-- Replies, per conversation: {} none of the user's, or {epoch head got read unread member resume keep stable};
--   resume: 0 ok, 1 truncated, 2 reset; stable: 0 where head is above what is known to be replicated
-- @include conversation
-- @include settled
local user, device = ARGV[1], ARGV[2]
local replies, k, a = {}, 1, 3
while k + 4 <= #KEYS do
  local c = load_conversation(KEYS[k], KEYS[k + 1], KEYS[k + 2], ARGV[a] == 'd')
  local spans = (c.exists or c.direct) and spans_of(c, user) or nil
  local reply = {}
  if spans then
    reply = view_of(c, spans, KEYS[k + 3], KEYS[k + 4], user, device)
    local keep = c.exists and keep_of(c, tonumber(ARGV[a + 1])) or nil
    local seq, resume = tonumber(ARGV[a + 2]), 2
    if keep then
      -- What the user may not see is not told to have survived.
      keep = math.min(keep, visible_head(c, spans))
      resume = seq <= keep and 0 or 1
      keep = math.min(seq, keep)
    end
    reply[7], reply[8], reply[9] = tostring(resume), txt(keep or 0), c.head > c.stable and '0' or '1'
  end
  replies[#replies + 1] = reply
  k, a = k + 5, a + 3
end
return replies
