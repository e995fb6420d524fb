-- Reading back: what a user may see of a conversation, whatever was acked. Writes nothing.
--
-- KEYS[1] meta  [2] log  [3] members
-- ARGV[1] kind of conversation (d, g)  [2] user (empty: the application itself, which sees all)  [3] before and [4] after
--   (empty: none)  [5] items  [6] bytes  [7] bytes of the conversation's name  [8] bytes of an archived message (0: there
--   is no archive)
-- Replies: {} none of the user's, or {epoch, more, stable, {item}…}, ascending; items as page.lua gives them
-- @include conversation
-- @include filler
local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], ARGV[1] == 'd')
local spans = {{from = 1, to = math.huge, before = 0, at_end = 0}}
if ARGV[2] ~= '' then spans = (c.exists or c.direct) and spans_of(c, ARGV[2]) or nil end
if not spans or not (c.exists or c.direct) then return {} end
local page = new_page(tonumber(ARGV[5]), tonumber(ARGV[6]), true, tonumber(ARGV[7]), tonumber(ARGV[8]))
local archived, upwards = page.archived > 0, ARGV[4] ~= ''
local lowest = math.max((upwards and tonumber(ARGV[4]) or 0) + 1, next_visible(spans, 1))
local highest = visible_head(c, spans)
if ARGV[3] ~= '' then highest = tonumber(ARGV[3]) == 0 and 0 or math.min(highest, tonumber(ARGV[3]) - 1) end

local function take(seq)
  local r = read_log(c, seq)
  if not r then return nil end
  return add_message(page, seq, r)
end
local function hole_at(seq) return redis.error_reply('EVERYONCE a hole at seq ' .. txt(seq)) end

local seq, more
if upwards then
  seq = lowest
  while seq <= highest do
    local visible, added, following = next_visible(spans, seq), false, seq + 1
    local removed_to = math.min(c.floor, highest)
    if seq <= removed_to and (visible == seq or not archived) then
      local to = add_removed(page, seq, archived and end_of_wanted(spans, nil, seq, removed_to) or removed_to)
      added, following = to ~= nil, (to or 0) + 1
    elseif visible > seq then
      added, following = add_hole(page, seq, math.min(visible - 1, highest)), visible
    else
      added = take(seq)
      if added == nil then return hole_at(seq) end
    end
    if not added then break end
    seq = following
  end
  more = seq <= highest
else
  seq = highest
  while seq >= lowest and seq > 0 do
    local visible, added, following = previous_visible(spans, seq), false, seq - 1
    if seq <= c.floor and (visible == seq or not archived) then
      local from = add_removed_below(page, archived and start_of_wanted(spans, nil, seq, lowest) or lowest, seq)
      added, following = from ~= nil, (from or 1) - 1
    elseif visible < seq then
      local below = math.max(visible, archived and lowest - 1 or c.floor)
      added, following = add_hole(page, math.max(below, lowest - 1) + 1, seq), below
    else
      added = take(seq)
      if added == nil then return hole_at(seq) end
    end
    if not added then break end
    seq = following
  end
  more = seq >= lowest and seq > 0
  local items = page.items
  for i = 1, math.floor(#items / 2) do items[i], items[#items + 1 - i] = items[#items + 1 - i], items[i] end
end
local reply = {txt(c.epoch), more and '1' or '0', c.head > c.stable and '0' or '1'}
for _, item in ipairs(page.items) do reply[#reply + 1] = item end
return reply
