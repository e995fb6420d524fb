-- Reading back: what a user may see of a conversation, whatever was acked. Writes nothing.
--
-- KEYS[1] meta  [2] log  [3] members
-- ARGV[1] kind of conversation (d, g)  [2] user (empty: the application itself, which sees all)  [3] before and [4] after
--   (empty: none)  [5] items  [6] bytes  [7] bytes of the conversation's name
-- Replies: {} none of the user's, or {epoch, more, stable, {item}…}, ascending; items as page.lua gives them
-- @include conversation
local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], ARGV[1] == 'd')
local spans = {{from = 1, to = math.huge, before = 0, at_end = 0}}
if ARGV[2] ~= '' then spans = (c.exists or c.direct) and spans_of(c, ARGV[2]) or nil end
if not spans or not (c.exists or c.direct) then return {} end
local items_left, bytes_left, name_bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local upwards = ARGV[4] ~= ''
local lowest = math.max((upwards and tonumber(ARGV[4]) or 0) + 1, next_visible(spans, 1))
local highest = visible_head(c, spans)
if ARGV[3] ~= '' then highest = tonumber(ARGV[3]) == 0 and 0 or math.min(highest, tonumber(ARGV[3]) - 1) end

local items = {}
local function add(bytes, item)
  if items_left < 1 or (bytes > bytes_left and #items > 0) then return false end
  items_left, bytes_left = items_left - 1, math.max(0, bytes_left - bytes)
  items[#items + 1] = item
  return true
end
local function add_hole(from, to) return add(192 + name_bytes, {txt(from), txt(to)}) end
local function add_message(seq)
  local r = read_log(c, seq)
  if not r then return nil end
  return add(192 + name_bytes + #r.f + #r.d + #r.i + #r.t + #r.b, {txt(seq), r.m, r.f, r.d, r.n, r.i, r.t, r.b, r.a})
end

local seq, more
if upwards then
  seq = lowest
  while seq <= highest do
    local visible, added = next_visible(spans, seq), false
    if visible > seq then
      added = add_hole(seq, math.min(visible - 1, highest))
    else
      added = add_message(seq)
      if added == nil then return redis.error_reply('EVERYONCE a hole at seq ' .. txt(seq)) end
    end
    if not added then break end
    seq = math.max(visible, seq + (visible == seq and 1 or 0))
  end
  more = seq <= highest
else
  seq = highest
  while seq >= lowest and seq > 0 do
    local visible, added = previous_visible(spans, seq), false
    if visible < seq then
      added = add_hole(math.max(visible + 1, lowest), seq)
    else
      added = add_message(seq)
      if added == nil then return redis.error_reply('EVERYONCE a hole at seq ' .. txt(seq)) end
    end
    if not added then break end
    seq = visible < seq and visible or seq - 1
  end
  more = seq >= lowest and seq > 0
  for i = 1, math.floor(#items / 2) do items[i], items[#items + 1 - i] = items[#items + 1 - i], items[i] end
end
local reply = {txt(c.epoch), more and '1' or '0', c.head > c.stable and '0' or '1'}
for _, item in ipairs(items) do reply[#reply + 1] = item end
return reply
