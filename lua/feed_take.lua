-- Takes conversations of one partition for a consumer group, each under a lease; those whose news is oldest first.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)
-- ARGV[1] group  [2] partition  [3] how many conversations (0: only see what there is)  [4] ms that the leases last
--   [5] this conversation, also where it has no news (empty: any)
-- Replies: {NONE} the group is not in this partition · {SEEDING} not yet · {OK more wait {conv lease position head}…}:
--   more 1: there is news that was not taken; wait: ms until the first lease of others runs out, -1: there is none
-- @include conversation
-- @include feed
local partition, count, lease_ms, wanted = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if not load_group() then return {'NONE'} end
if g.record.seeding then return {'SEEDING'} end
local now = time_ms()
local more = take_over(1000)
expire(now)
local reply, last = {'OK', '0', '-1'}, nil

local function hold(conv, e)
  -- Above whatever was given before, also by a store that was wiped since.
  last = math.max((last or tonumber(redis.call('HGET', g.state, '#lease') or '0')) + 1, now)
  e.lease, e.till = txt(last * 1024 + tonumber(partition)), txt(now + lease_ms)
  redis.call('ZREM', g.news, conv)
  redis.call('ZADD', g.held, e.till, conv)
  save_entry(conv, e)
  reply[#reply + 1] = {conv, e.lease, txt(e.position), txt(e.head)}
end

if wanted ~= '' then
  local e = load_entry(wanted) or {position = 0, head = 0, at = '0', lease = '0', till = '0'}
  if e.lease == '0' then hold(wanted, e) end
elseif count > 0 then
  for _, conv in ipairs(redis.call('ZRANGE', g.news, 0, count - 1)) do
    local e = load_entry(conv)
    if e then hold(conv, e) else redis.call('ZREM', g.news, conv) end
  end
end
if last then redis.call('HSET', g.state, '#lease', txt(last)) end
if more or redis.call('ZCARD', g.news) > 0 then reply[2] = '1' end
local first = redis.call('ZRANGE', g.held, 0, 0, 'WITHSCORES')[2]
if first then reply[3] = txt(math.max(0, tonumber(first) - now)) end
return reply
