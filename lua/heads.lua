-- Where conversations of one partition stand, for comparing with what connections were told. Writes nothing.
--
-- KEYS per conversation (1): meta
-- Replies: one array, per conversation two texts: epoch (0: there is none) and head
local replies = {}
for i, meta in ipairs(KEYS) do
  local f = redis.call('HMGET', meta, 'h', 'ep')
  replies[2 * i - 1] = f[2] and string.match(f[2], '(%d+):%d+$') or '0'
  replies[2 * i] = f[1] or '0'
end
return replies
