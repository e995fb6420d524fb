-- How far behind a consumer group is in one partition. Takes over news first, so that it counts.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)
-- ARGV[1] group
-- Replies: {exact messages oldest letters}: exact 0: there was too much news; oldest: when the oldest message that was
--   not passed was accepted, 0: there is none
-- @include conversation
-- @include feed
if not load_group() then return {'1', '0', '0', '0'} end
local more = take_over(1000)
local known = redis.call('HMGET', g.state, '#lag', '#letters')
local oldest = redis.call('ZRANGE', g.news, 0, 0, 'WITHSCORES')[2]
oldest = oldest and tonumber(oldest) or 0
for _, conv in ipairs(redis.call('ZRANGE', g.held, 0, 999)) do
  local e = load_entry(conv)
  if e and e.position < e.head and (oldest == 0 or tonumber(e.at) < oldest) then oldest = tonumber(e.at) end
end
return {(more or g.record.seeding) and '0' or '1', known[1] or '0', txt(oldest), known[2] or '0'}
