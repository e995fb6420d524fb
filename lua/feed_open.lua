-- Makes a consumer group known in one partition, or finds it known.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)  [7] catalogue
-- ARGV[1] group  [2] 1: it begins with what is accepted from here on; else with what the log has
-- Replies: READY it is there · SEED what the log has is still to be put there (feed_seed.lua)
-- @include conversation
-- @include feed
if load_group() then return g.record.seeding and 'SEED' or 'READY' end
local last = redis.call('XREVRANGE', g.feed, '+', '-', 'COUNT', 1)[1]
local seeding = ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[7]) == 1
redis.call('HSET', g.groups, g.name, (last and last[1] or '0-0') .. (seeding and ' 1' or ' 0'))
return seeding and 'SEED' or 'READY'
