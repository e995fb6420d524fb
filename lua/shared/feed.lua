-- What one consumer group has in one partition (semantics h). The partition's feed, a stream that all groups share, tells
-- where there is news; a group takes that over into tables of its own, and when all have, it goes. So the feed holds only
-- what some group has not seen, and a group's tables only the conversations that it has not passed.
--   groups  hash: see groups.lua
--   feed    stream: c conversation, f first and h last seq that were added, a when
--   state   hash: conversation → `position head at lease until`: up to where the group has passed it and knows it, when
--           the message behind the position was accepted, who holds it (0: nobody) until when, Unix ms of Redis's own
--           clock. #lag messages that were not passed; #lease the last lease; #letters dead letters
--   news    sorted set: conversations that nobody holds and that have news, by `at`
--   held    sorted set: conversations that somebody holds, by `until`
--   letters hash: mid → a message that was given up
-- A script that begins with these has KEYS[1] to KEYS[6] = groups, feed, state, news, held, letters.
-- @include groups
local g = {name = ARGV[1], groups = KEYS[1], feed = KEYS[2], state = KEYS[3], news = KEYS[4], held = KEYS[5],
  letters = KEYS[6]}

local function time_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function load_group()
  g.all = registered(g.groups)
  g.record = g.all[g.name]
  return g.record
end

local function load_entry(conv)
  local text = redis.call('HGET', g.state, conv)
  if not text then return nil end
  local position, head, at, lease, till = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {position = tonumber(position), head = tonumber(head), at = at, lease = lease, till = till}
end

local function save_entry(conv, e)
  redis.call('HSET', g.state, conv, table.concat({txt(e.position), txt(e.head), e.at, e.lease, e.till}, ' '))
end

local function add_lag(messages)
  if messages ~= 0 then redis.call('HINCRBY', g.state, '#lag', txt(messages)) end
end

-- Nobody holds it any more: it waits among the news, or is done with.
local function let_go(conv, e)
  redis.call('ZREM', g.held, conv)
  if e.position >= e.head then
    redis.call('HDEL', g.state, conv)
    return false
  end
  e.lease, e.till = '0', '0'
  save_entry(conv, e)
  redis.call('ZADD', g.news, e.at, conv)
  return true
end

-- Takes over at most `limit` entries of the feed. True: there may be more.
local function take_over(limit)
  local found = redis.call('XRANGE', g.feed, '(' .. g.record.cursor, '+', 'COUNT', limit)
  if #found == 0 then return false end
  local lag, order, entries = 0, {}, {}
  for _, item in ipairs(found) do
    local f = {}
    for i = 1, #item[2], 2 do f[item[2][i]] = item[2][i + 1] end
    local conv, first, head = f.c, tonumber(f.f), tonumber(f.h)
    if not entries[conv] then
      entries[conv] = load_entry(conv) or {position = first - 1, head = first - 1, at = f.a, lease = '0', till = '0'}
      order[#order + 1] = conv
    end
    local e = entries[conv]
    -- Held by name while it had no news: all before this was passed.
    if e.head < first - 1 then e.position, e.head = first - 1, first - 1 end
    lag = lag + math.max(0, head - e.head)
    e.head = math.max(e.head, head)
  end
  for _, conv in ipairs(order) do
    local e = entries[conv]
    save_entry(conv, e)
    if e.lease == '0' then redis.call('ZADD', g.news, e.at, conv) end
  end
  add_lag(lag)
  g.record.cursor = found[#found][1]
  redis.call('HSET', g.groups, g.name, g.record.cursor .. ' ' .. (g.record.seeding and '1' or '0'))
  -- What all groups have taken over goes.
  local lowest_ms, lowest_count
  for _, record in pairs(g.all) do
    local ms, count = string.match(record.cursor, '^(%d+)-(%d+)$')
    ms, count = tonumber(ms), tonumber(count)
    if not lowest_ms or ms < lowest_ms or (ms == lowest_ms and count < lowest_count) then
      lowest_ms, lowest_count = ms, count
    end
  end
  redis.call('XTRIM', g.feed, 'MINID', '=', txt(lowest_ms) .. '-' .. txt(lowest_count + 1))
  return #found == limit
end

-- Leases that nobody renewed: what they held is for anyone to take.
local function expire(now)
  for _, conv in ipairs(redis.call('ZRANGEBYSCORE', g.held, '-inf', txt(now), 'LIMIT', 0, 100)) do
    local e = load_entry(conv)
    if e then let_go(conv, e) else redis.call('ZREM', g.held, conv) end
  end
end

-- What the lease `lease` holds of `conv`; nil: it has run out, and somebody may have taken it since.
local function leased(conv, lease)
  local e = load_entry(conv)
  return e and e.lease == lease and e or nil
end

-- All up to `seq` is passed. `log`: of the conversation, for when the next one was accepted.
local function pass(conv, e, seq, log)
  seq = math.min(seq, e.head)
  if seq <= e.position then return end
  add_lag(e.position - seq)
  e.position = seq
  local following = seq < e.head and redis.call('XRANGE', log, txt(seq + 1) .. '-0', '+', 'COUNT', 1)[1]
  if following then
    for i = 1, #following[2], 2 do
      if following[2][i] == 'a' then e.at = following[2][i + 1] end
    end
  end
  save_entry(conv, e)
end
