-- The next numbers of a counter (semantics c: dense, each given once). Where the end of what was written may be lost (a
-- failover, a restart, a slot that was moved: another replication id) it first jumps ahead of all that may have been
-- given out since: by 2^32, and by 1024 for each millisecond since it was last used.
--
-- KEYS[1] the counter, a hash {v newest number, at when it was given (ms), rid replication id}
-- KEYS[2] what the asking process was last told of it: `request first count`, for a minute: asked again after a lost
--   answer, the same request tells the same
-- ARGV[1] how many (0: only look)  [2] the last number that may be given  [3] request
-- Replies: {first count} taken; where only looked {newest}; {} none are left
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local count, most = tonumber(ARGV[1]), tonumber(ARGV[2])
if count > 0 then
  local request, first, taken = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+) (%d+)$')
  if request == ARGV[3] then return {first, taken} end
end
local found = redis.call('HMGET', KEYS[1], 'v', 'at', 'rid')
local value, rid = tonumber(found[1] or '0'), string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
if found[1] and found[3] ~= rid then
  value = value + 4294967296 + 1024 * math.max(0, now - tonumber(found[2]))
end
if count == 0 then return {text(value)} end
if value + count > most then return {} end
redis.call('HSET', KEYS[1], 'v', text(value + count), 'at', text(now), 'rid', rid)
redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. text(value + 1) .. ' ' .. text(count), 'PX', 60000)
return {text(value + 1), text(count)}
