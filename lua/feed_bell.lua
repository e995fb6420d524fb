-- The bell of consumer groups: which partitions lately had news. A hint, which may be lost: who reads looks at all
-- partitions now and then.
--
-- KEYS[1] sorted set: partition, by when it last had news, ms of Redis's own clock
-- ARGV[1] ring: [2…] partitions · ask: [2] the time of the last answer
-- Replies: ring {} · ask {time partition…}
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
if ARGV[1] == 'ring' then
  for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
  return {}
end
-- What came in the same ms as the last answer is told again.
local reply = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf')
table.insert(reply, 1, now)
return reply
