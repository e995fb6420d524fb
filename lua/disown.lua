-- Behind a step of retention: what its senders' lists of own messages have below the floor is let go. A list is written anew
-- when half of it may go, so that a long one is not copied for each step; one with nothing above the floor is deleted.
--
-- KEYS[1] meta of the conversation  [2…] own messages of users there
-- Reply: how many seqs went, as a text. The same again: none
-- @include own
local floor, gone = tonumber(redis.call('HGET', KEYS[1], 'fl') or '0'), 0
for i = 2, #KEYS do
  local count = redis.call('STRLEN', KEYS[i]) / 8
  local removed = first_own_above(KEYS[i], floor, 0, count)
  if removed > 0 and removed == count then
    redis.call('DEL', KEYS[i])
    gone = gone + removed
  elseif removed * 2 >= count and removed > 0 then
    redis.call('SET', KEYS[i], redis.call('GETRANGE', KEYS[i], removed * 8, -1))
    gone = gone + removed
  end
end
return string.format('%.0f', gone)
