-- An item for a receiver (semantics f). What all scripts of the offline table know of it, all keys in the receiver's slot:
--   items   hash: place → `sender\0msgId\0body`
--   order   sorted set, all of score 0: the places, 16 digits, in byte order
--   senders sorted set, all of score 0: `sender\0place`
--   names   hash: msgId → `place request` of what waits
--   counts  hash: sender → how many wait
--   acked   sorted set: msgId → until when it is known (ms); goes by itself when all of it is forgotten
--   newest  the newest place, for a day
-- A place is the time in microseconds, or one more than the newest: none is ever used again. Names have no zero byte.
--
-- KEYS items, order, senders, names, counts, acked, newest
-- ARGV[1] msgId [2] sender [3] body [4] request: asked again after a lost answer, the same request is told the same
-- Replies: '1' added, '0' the receiver has it, or had it and it is not forgotten
local items, order, senders, names, counts, acked, newest = unpack(KEYS)
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local now = math.floor(now_us / 1000)
local waiting = redis.call('HGET', names, ARGV[1])
if waiting then return string.sub(waiting, 18) == ARGV[4] and '1' or '0' end
if tonumber(redis.call('ZSCORE', acked, ARGV[1]) or '0') > now then return '0' end
redis.call('ZREM', acked, ARGV[1])
local forgotten = redis.call('ZRANGE', acked, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
if #forgotten > 0 then redis.call('ZREM', acked, unpack(forgotten)) end
local last = redis.call('ZRANGE', order, -1, -1)[1] or redis.call('GET', newest) or '0'
local place = string.format('%016.0f', math.max(tonumber(last) + 1, now_us))
redis.call('HSET', items, place, ARGV[2] .. '\0' .. ARGV[1] .. '\0' .. ARGV[3])
redis.call('ZADD', order, 0, place)
redis.call('ZADD', senders, 0, ARGV[2] .. '\0' .. place)
redis.call('HSET', names, ARGV[1], place .. ' ' .. ARGV[4])
redis.call('HINCRBY', counts, ARGV[2], 1)
redis.call('SET', newest, place, 'PX', 86400000)
return '1'
