-- A device gives up n from..to (protocol.md, Sending).
--
-- KEYS[1] meta  [2] log  [3] members  [4] senders  [5] older n of the device there
-- ARGV[1] kind of conversation (d, g)  [2] user  [3] device  [4] pe  [5] pe that is known elsewhere  [6] from  [7] to
-- Replies: {OK} {CONFLICT} {BAD message} {UNKNOWN_CONV} {FENCED pe}
-- @include conversation
-- @include producer
local user, device, pe, known_pe = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local from, to = tonumber(ARGV[6]), tonumber(ARGV[7])
local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], ARGV[1] == 'd')
if not c.exists and not c.direct then return {'UNKNOWN_CONV'} end
local spans = spans_of(c, user)
if not spans then return {'UNKNOWN_CONV'} end
local p = load_producer(KEYS[4], KEYS[5], user .. '/' .. device, c.floor)
if not p.known and not is_member(spans) then return {'UNKNOWN_CONV'} end
if not admit(p, pe, known_pe) then return {'FENCED', txt(math.max(p.pe, known_pe))} end
if from < 1 or to < from or to > 9007199254740991 then
  save_producer(p)
  return {'BAD', 'from and to are no span of n'}
end

-- Whether an n of from..to, all ≤ last, was accepted. Blocks that were skipped whole have no member: a long span is quick.
local function any_accepted(first, last)
  for n = math.max(first, p.last - WINDOW + 1, p.first), last do
    local text = slot_of(p, n)
    if string.find(text, '^[AP]') then return true end
  end
  if first > p.last - WINDOW then return false end
  local low, high = math.floor((first - 1) / WINDOW), math.floor((last - 1) / WINDOW)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', p.blocks, txt(low), txt(high))) do
    local block, text = string.match(member, '^(%d+)\n(.*)$')
    local n = tonumber(block) * WINDOW + 1
    for line in string.gmatch(text .. '\n', '(.-)\n') do
      if n >= first and n <= last and string.find(line, '^[AP]') then return true end
      n = n + 1
    end
  end
  return false
end

local reply = {'OK'}
if p.known and from > p.last + 1 then
  reply = {'BAD', "the span begins beyond the device's next n"}
elseif p.known and from <= p.last then
  if any_accepted(from, math.min(to, p.last)) then
    reply = {'CONFLICT'}
  elseif to > p.last then
    reply = {'BAD', 'the span begins at an n that is already used'}
  end
else
  skip_to(p, from, to)
end
save_producer(p)
return reply
