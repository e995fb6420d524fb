-- What is known of messages that a device sent under these ids. Writes nothing.
--
-- KEYS[1] meta  [2] log  [3] members  [4] senders  [5] older n of the device  [6…] per id, the window's key of it
-- ARGV[1] kind of conversation (d, g)  [2] user  [3] device  [4…] per id: the id, its hash
-- Replies: {UNKNOWN_CONV}, or {OK, stable, {id…} stored and removed since, with all that could be told, {id n seq epoch mid at}…}
-- @include conversation
-- @include producer
local user, device = ARGV[2], ARGV[3]
local who = user .. '/' .. device
local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], ARGV[1] == 'd')
if not c.exists and not c.direct then return {'UNKNOWN_CONV'} end
if not spans_of(c, user) then return {'UNKNOWN_CONV'} end
local p = load_producer(KEYS[4], KEYS[5], who, c.floor)
local unknown = {}
local reply, wanted, hashed, left = {'OK', c.head > c.stable and '0' or '1', unknown}, {}, {}, 0
for i = 4, #ARGV, 2 do
  if not wanted[ARGV[i]] then left = left + 1 end
  wanted[ARGV[i]] = KEYS[6 + (i - 4) / 2]
  hashed['#' .. ARGV[i + 1]] = ARGV[i]
end

local function offer(seq, n, id)
  if not wanted[id] then return end
  local r = answer_of(c, p, seq)
  -- Gone with its mid: it was stored, and nothing tells any more what it got.
  if not r then unknown[#unknown + 1] = id end
  if r then
    if r.i ~= id or (r.who and (r.who ~= who or tonumber(r.n) ~= n)) then return end
    reply[#reply + 1] = {id, txt(n), txt(seq), txt(epoch_of(c, seq)), r.m, r.a}
  end
  wanted[id] = nil
  left = left - 1
end
local function offer_slot(text, n)
  if not string.find(text, '^[AP]') then return end
  local a = parse_slot(text)
  for i, id in ipairs(a.ids) do offer(a.seq + i - 1, n, hashed[id] or id) end
end

for n = p.last, math.max(p.first, p.last - WINDOW + 1), -1 do
  if left == 0 then break end
  offer_slot(slot_of(p, n), n)
end
if left > 0 and p.last > WINDOW then
  for _, member in ipairs(redis.call('ZREVRANGE', p.blocks, 0, -1)) do
    if left == 0 then break end
    local block, text = string.match(member, '^(%d+)\n(.*)$')
    local n = tonumber(block) * WINDOW + 1
    for line in string.gmatch(text .. '\n', '(.-)\n') do
      offer_slot(line, n)
      n = n + 1
    end
  end
end
for id, window in pairs(wanted) do
  local known = redis.call('GET', window)
  local seq, mid, at, by = string.match(known or '', '^(%d+) %d+ %S+ (%d+) (%d+) (%S+)$')
  if by == device then reply[#reply + 1] = {id, '0', seq, txt(epoch_of(c, tonumber(seq))), mid, at} end
end
return reply
