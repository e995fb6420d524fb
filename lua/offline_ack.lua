-- Removes items of a receiver by name. Keys as in offline_append.lua.
--
-- KEYS items, order, senders, names, counts, acked
-- ARGV[1] ms that an acked name is known; then msgIds
-- Reply: how many were removed, as a text; what does not wait is passed over, so a repeat is harmless
-- @include offline_remove
local keep, removed = tonumber(ARGV[1]), 0
for i = 2, #ARGV do
  local waiting = redis.call('HGET', names, ARGV[i])
  if waiting then removed = removed + remove(string.sub(waiting, 1, 16), keep) end
end
forget(keep)
return string.format('%.0f', removed)
