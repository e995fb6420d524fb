-- Which consumer groups read a partition: the hash KEYS[…] `groups`, group → `cursor seeding`. All of the feed up to the
-- cursor is in the group's own tables (see feed.lua). seeding 1: what the log had when the group was made is still being
-- put there, so the group has passed nothing yet.
local function registered(groups)
  local all, found = redis.call('HGETALL', groups), {}
  for i = 1, #all, 2 do
    local cursor, seeding = string.match(all[i + 1], '^(%S+) (%d)$')
    found[all[i]] = {cursor = cursor, seeding = seeding == '1'}
  end
  return found
end

local function has_news(feed, cursor) return #redis.call('XRANGE', feed, '(' .. cursor, '+', 'COUNT', 1) > 0 end

-- What must stay in the log for the sake of the groups: all above the answer. `states`: group → key of its positions, of
-- the groups that the caller knows. nil and a reply: {GROUPS name} there is another; {FEED} a group has to take over news
-- first.
local function lowest_position(groups, feed, states, conv)
  local lowest = math.huge
  for name, group in pairs(registered(groups)) do
    if not states[name] then return nil, {'GROUPS', name} end
    if group.seeding then return 0 end
    if has_news(feed, group.cursor) then return nil, {'FEED'} end
    -- No entry: all is passed.
    local entry = redis.call('HGET', states[name], conv)
    if entry then lowest = math.min(lowest, tonumber(string.match(entry, '^%d+'))) end
  end
  return lowest
end
