-- Retention of one conversation, a bounded step (protocol.md, Receiving; semantics f-7). Only a beginning is ever removed,
-- so that one number, the floor, tells what is gone; what consumer groups have not passed stays, whatever the rules say.
-- Numbers go on, and what a device was told of its last 64 n is kept. Each rule by itself removes.
--
-- KEYS[1] meta  [2] log  [3] members  [4] senders  [5] marks of the conversation  [6] groups  [7] feed of the partition
--   [8…] the positions of each group that the caller knows
-- ARGV[1] kind of conversation (d, g)  [2] its name  [3] what was accepted before this is too old, Unix ms (0: no such
--   rule)  [4] so many of the newest stay (0: no such rule)  [5] 1: what everybody has acked goes  [6] records at most
--   [7] version of the members as of which the users below were asked (empty: they were not)
--   [8] number of groups, then their names; then per user who may see it: name, number of devices that were seen of
--   late, these
-- Replies: {NOTHING} · {ASK version user…} their devices are wanted, of direct conversations without the users ·
--   {GROUPS name} there is a group that the caller does not know · {FEED} news is to be taken over first ·
--   {OK removed bytes more user…} whose messages were removed, for disown.lua
-- @include conversation
-- @include producer
-- @include settled
-- @include groups
local direct, conv = ARGV[1] == 'd', ARGV[2]
local too_old, keep, until_acked = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], direct)
if not c.exists or c.head <= c.floor then return {'NOTHING'} end

local function record_at(entry) return tonumber(string.match(entry[1], '^%d+')), record_of(entry[2]) end

-- Whether a rule may let something go at all, before anybody is asked.
local wanted = until_acked or (keep > 0 and c.head - c.floor > keep)
if not wanted and too_old > 0 then
  local first = redis.call('XRANGE', c.log, '-', '+', 'COUNT', 1)[1]
  wanted = first ~= nil and tonumber(select(2, record_at(first)).a) < too_old
end
if not wanted then return {'NOTHING'} end

local states, argument = {}, 9
for i = 1, tonumber(ARGV[8]) do
  states[ARGV[argument]] = KEYS[7 + i]
  argument = argument + 1
end
local passed, why = lowest_position(KEYS[6], KEYS[7], states, conv)
if not passed then return why end
if passed <= c.floor then return {'NOTHING'} end

-- Up to where everybody has acked: each device that was seen of late, and each member has such a device. Who has left
-- holds what is visible to him only by such devices.
local acked_to = 0
if until_acked then
  if ARGV[7] ~= c.version then
    local reply = {'ASK', c.version}
    if not direct then
      for _, name in ipairs(redis.call('HKEYS', c.members)) do reply[#reply + 1] = name end
    end
    return reply
  end
  acked_to = c.head
  while argument <= #ARGV do
    local user, devices = ARGV[argument], tonumber(ARGV[argument + 1])
    local spans = spans_of(c, user)
    if spans and devices == 0 and is_member(spans) then acked_to = math.min(acked_to, next_visible(spans, c.floor + 1) - 1) end
    for i = 1, spans and devices or 0 do
      local who = user .. '/' .. ARGV[argument + 1 + i]
      local settled = settled_up_to(c, spans, load_ranges(c, KEYS[5], who), who)
      if settled < visible_head(c, spans) then acked_to = math.min(acked_to, settled) end
    end
    argument = argument + 2 + devices
  end
end

local may_go = math.max(keep > 0 and c.head - keep or 0, acked_to)
local first, last = txt(c.floor + 1) .. '-0', txt(math.min(c.head, passed)) .. '-0'
local limit = tonumber(ARGV[6])
local floor, system, bytes, senders, answers = c.floor, c.floor_system, 0, {}, {}
for _, entry in ipairs(redis.call('XRANGE', c.log, first, last, 'COUNT', limit)) do
  local seq, r = record_at(entry)
  if seq ~= floor + 1 then return redis.error_reply('EVERYONCE a hole at seq ' .. txt(floor + 1)) end
  if seq > may_go and not (too_old > 0 and tonumber(r.a) < too_old) then break end
  floor, system = seq, r.system
  bytes = bytes + #r.b + #r.i + #r.f + #r.d + #r.t
  if r.f ~= 'system' then
    senders[r.who] = r.f
    if r.n ~= '0' then answers[#answers + 1] = {who = r.who, n = tonumber(r.n), field = r.who .. '=' .. txt(seq),
      text = r.m .. ' ' .. r.a .. ' ' .. r.i} end
  end
end
if floor == c.floor then return {'NOTHING'} end

-- What of a device is settled only because the log shows it to be its own: acked, before that is removed.
local acks, last_n = {}, {}
for who, user in pairs(senders) do
  local spans = spans_of(c, user)
  local ranges = load_ranges(c, KEYS[5], who)
  local to = spans and math.min(floor, settled_up_to(c, spans, ranges, who)) or 0
  if to > (ranges[1] and ranges[1].from == 1 and ranges[1].to or 0) then
    add_range(ranges, 1, to)
    acks[#acks + 1] = {'g:' .. who, ranges_text(c, ranges)}
  end
  last_n[who] = tonumber(string.match(redis.call('HGET', KEYS[4], who) or '0 0', '(%d+)$'))
end
for _, ack in ipairs(acks) do redis.call('HSET', KEYS[5], ack[1], ack[2]) end
for _, a in ipairs(answers) do
  if a.n > last_n[a.who] - WINDOW then redis.call('HSET', KEYS[4], a.field, a.text) end
end
redis.call('HSET', c.meta, 'fl', txt(floor), 'fs', txt(system))
redis.call('XTRIM', c.log, 'MINID', '=', txt(floor + 1) .. '-0')
local reply, told = {'OK', txt(floor - c.floor), txt(bytes), floor - c.floor == limit and '1' or '0'}, {}
for _, user in pairs(senders) do
  if not told[user] then reply[#reply + 1] = user end
  told[user] = true
end
return reply
