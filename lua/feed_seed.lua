-- What the log has of some conversations is news for a new consumer group.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)  [7…] meta, log of each
-- ARGV[1] group  [2] 1: these were the last ones, and the group is ready here  [3…] names
-- Replies: OK · NONE there is no such group
-- @include conversation
-- @include feed
if not load_group() then return 'NONE' end
if not g.record.seeding then return 'OK' end
for i = 3, #ARGV do
  local c = load_conversation(KEYS[2 * i + 1], KEYS[2 * i + 2], '', false)
  local conv, e = ARGV[i], load_entry(ARGV[i])
  -- Nobody can hold it yet: what the feed has told since lies above.
  if c.exists and c.head > c.floor and not (e and e.position <= c.floor) then
    local first = read_log(c, c.floor + 1)
    local known = e and e.head - e.position or 0
    e = {position = c.floor, head = e and e.head or c.head, at = first and first.a or '0', lease = '0', till = '0'}
    add_lag(e.head - c.floor - known)
    save_entry(conv, e)
    redis.call('ZADD', g.news, e.at, conv)
  end
end
if ARGV[2] == '1' then redis.call('HSET', g.groups, g.name, g.record.cursor .. ' 0') end
return 'OK'
