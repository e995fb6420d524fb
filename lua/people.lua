-- Whether devices of users are still theirs who asked last, and whether the users gained conversations. Writes nothing.
--
-- KEYS per device (2): the user's devices, as in device.lua · the user's list of conversations
-- ARGV per device (1): the device
-- Replies: one array, per device two texts: when its last hello was (0: never), and how many conversations are listed
local replies = {}
for i = 1, #KEYS / 2 do
  local found = redis.call('HGET', KEYS[2 * i - 1], ARGV[i]) or '0 0 0'
  replies[2 * i - 1] = string.match(found, '(%d+)$')
  replies[2 * i] = tostring(redis.call('ZCARD', KEYS[2 * i]))
end
return replies
