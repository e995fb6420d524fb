-- Takes the item of a place away and remembers its name as acked: 1, or 0 where there is none any more. Keys as in
-- offline_append.lua.
local items, order, senders, names, counts, acked = unpack(KEYS)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function parts_of(item)
  local first = string.find(item, '\0', 1, true)
  local second = string.find(item, '\0', first + 1, true)
  return string.sub(item, 1, first - 1), string.sub(item, first + 1, second - 1), string.sub(item, second + 1)
end
local function remove(place, keep)
  local item = redis.call('HGET', items, place)
  if not item then return 0 end
  local sender, name = parts_of(item)
  redis.call('HDEL', items, place)
  redis.call('ZREM', order, place)
  redis.call('ZREM', senders, sender .. '\0' .. place)
  redis.call('HDEL', names, name)
  if redis.call('HINCRBY', counts, sender, -1) <= 0 then redis.call('HDEL', counts, sender) end
  redis.call('ZADD', acked, string.format('%.0f', now + keep), name)
  return 1
end
-- What is forgotten goes in slices, and all of it when nobody comes any more.
local function forget(keep)
  local forgotten = redis.call('ZRANGE', acked, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
  if #forgotten > 0 then redis.call('ZREM', acked, unpack(forgotten)) end
  if redis.call('PTTL', acked) < keep then redis.call('PEXPIRE', acked, keep) end
end
