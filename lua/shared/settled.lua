-- @include own
-- Which seqs a device has acked, and how far all is settled: acked, its own, or not visible (semantics f-1). The ranges
-- are closed, sorted, disjoint and never touch; at most 64, but one that begins at 1 always fits.
local MAX_RANGES = 64

local function load_ranges(c, marks, who)
  local text = redis.call('HGET', marks, 'g:' .. who)
  local ranges = {}
  if not text then return ranges end
  local epoch, list = string.match(text, '^(%d+)|(.*)$')
  for from, to in string.gmatch(list, '(%d+)-(%d+)') do
    ranges[#ranges + 1] = {from = tonumber(from), to = tonumber(to)}
  end
  if tonumber(epoch) ~= c.epoch then
    -- A new epoch cuts acks to what survived of their own.
    local keep = keep_of(c, tonumber(epoch)) or 0
    while #ranges > 0 and ranges[#ranges].from > keep do table.remove(ranges) end
    if #ranges > 0 then ranges[#ranges].to = math.min(ranges[#ranges].to, keep) end
  end
  return ranges
end

local function ranges_text(c, ranges)
  local parts = {}
  for i, r in ipairs(ranges) do parts[i] = txt(r.from) .. '-' .. txt(r.to) end
  return txt(c.epoch) .. '|' .. table.concat(parts, ',')
end

local function next_unacked(ranges, seq)
  for _, r in ipairs(ranges) do
    if r.to >= seq then return r.from <= seq and r.to + 1 or seq end
  end
  return seq
end

local function previous_unacked(ranges, seq)
  for _, r in ipairs(ranges) do
    if seq >= r.from and seq <= r.to then return r.from - 1 end
  end
  return seq
end

-- False, and nothing changed, where it does not fit.
local function add_range(ranges, from, to)
  local first = 1
  while first <= #ranges and ranges[first].to < from - 1 do first = first + 1 end
  local last = first
  while last <= #ranges and ranges[last].from <= to + 1 do last = last + 1 end
  if first == last then
    if #ranges >= MAX_RANGES and from ~= 1 then return false end
    table.insert(ranges, first, {from = from, to = to})
    return true
  end
  ranges[first].from = math.min(ranges[first].from, from)
  ranges[first].to = math.max(ranges[last - 1].to, to)
  for i = last - 1, first + 1, -1 do table.remove(ranges, i) end
  return true
end

-- The last of the seqs from `seq` on (at most to `limit`) that are one after the other this device's own; seq - 1: `seq`
-- is not. Looks at a number of messages that grows with the logarithm of the run only.
local function end_of_own_run(c, who, seq, limit)
  limit = math.min(limit, c.head)
  -- Of what was removed nobody can tell any more whose it was: what is not acked of it is told as a hole.
  if seq > limit or seq <= c.floor then return seq - 1 end
  if c.last_who == who and c.run >= c.head - seq + 1 then return limit end
  local last, step = seq - 1, 0
  while seq + step <= limit do
    local r = read_log(c, seq + step)
    if not r or r.who ~= who or r.run < step + 1 then break end
    last = seq + step
    step = step * 2 + 1
  end
  return last
end

local function settled_up_to(c, spans, ranges, who)
  local limit, settled = visible_head(c, spans), 0
  while settled < limit do
    local seq = settled + 1
    local to = math.max(next_visible(spans, seq), next_unacked(ranges, seq)) - 1
    if to < seq then to = end_of_own_run(c, who, seq, limit) end
    if to < seq then break end
    settled = math.min(to, limit)
  end
  return settled
end

-- Whether every seq of from..to is this device's own or not visible.
local function all_settled(c, spans, who, from, to)
  while to >= from do
    local visible = previous_visible(spans, to)
    if visible < to then
      to = visible
    else
      local r = read_log(c, to)
      if not r or r.who ~= who then return false end
      to = math.max(to - math.max(r.run, 1), c.floor)
    end
  end
  return true
end

-- Acks from..to (from 0: from the beginning), clipped to what is visible. True where the ranges changed.
local function ack(c, spans, ranges, who, from, to)
  if c.head == 0 then return false end
  to = math.min(to, visible_head(c, spans))
  local settled = settled_up_to(c, spans, ranges, who)
  if from <= settled + 1 then from = 1 end
  if to < from or (from == 1 and to <= settled) or next_unacked(ranges, from) > to then return false end
  -- What lies between this range and its neighbours may need no ack; then they are one range.
  local below, above = 0, 0
  for _, r in ipairs(ranges) do
    if r.to < from then below = r.to end
    if r.from > to and above == 0 then above = r.from end
  end
  if below + 1 < from and from > 1 and all_settled(c, spans, who, below + 1, from - 1) then from = below + 1 end
  if above > to + 1 and all_settled(c, spans, who, to + 1, above - 1) then to = above - 1 end
  return add_range(ranges, from, to)
end

-- How many of a user's own messages there are above `seq` (see own.lua). It is asked for what is unread, so they are at
-- the end, and few.
local function own_above(key, seq)
  local count = redis.call('STRLEN', key) / 8
  local high, step = count, 1
  while high > 0 and own_seq(key, math.max(high - step, 0)) > seq do
    high = math.max(high - step, 0)
    step = step * 2
  end
  return count - first_own_above(key, seq, math.max(high - step, 0), high)
end

local function system_count(c, seq)
  if seq == 0 then return 0 end
  if seq >= c.head then return c.system end
  if seq <= c.floor then return c.floor_system end
  local r = read_log(c, seq)
  return r and r.system or 0
end

-- The user's read mark: {seq, system}.
local function load_read(c, marks, user)
  local text = redis.call('HGET', marks, 'r:' .. user)
  if not text then return {seq = 0, system = 0} end
  local epoch, seq, system = string.match(text, '^(%d+)|(%d+)|(%d+)$')
  local mark = {seq = tonumber(seq), system = tonumber(system)}
  if tonumber(epoch) ~= c.epoch then
    local keep = keep_of(c, tonumber(epoch)) or 0
    if mark.seq > keep then mark = {seq = keep, system = system_count(c, keep)} end
  end
  return mark
end

-- A conversation as a user and a device (empty: none) have it: {conv-epoch head got read unread member}.
local function view_of(c, spans, marks, own, user, device)
  local head, mark, count = visible_head(c, spans), load_read(c, marks, user), 0
  -- What was removed is not there to be read.
  local start = mark
  if c.floor > mark.seq then start = {seq = c.floor, system = c.floor_system} end
  for _, s in ipairs(spans) do
    local below, last = math.max(start.seq, s.from - 1), math.min(s.to, c.head)
    if last > below then
      local system_below = start.seq > s.from - 1 and start.system or s.before
      local system_last = s.to == math.huge and c.system or s.at_end
      count = count + (last - below) - (system_last - system_below)
    end
  end
  if c.head == 0 then count = 0 else count = count - own_above(own, start.seq) end
  local got = 0
  if device ~= '' and c.head > 0 then
    local who = user .. '/' .. device
    got = settled_up_to(c, spans, load_ranges(c, marks, who), who)
  end
  return {txt(c.epoch), txt(head), txt(got), txt(math.min(mark.seq, head)), txt(count), is_member(spans) and '1' or '0'}
end
