-- A page of what a device has not acked of one conversation, oldest or newest first. A pure function of what is acked and
-- the arguments; writes nothing.
--
-- KEYS[1] meta  [2] log  [3] members  [4] marks  [5] own messages of the user
-- ARGV[1] kind of conversation (d, g)  [2] user  [3] device  [4] newest | oldest  [5] 1: hold (a full set of ranges changes
--   nothing)  [6] items that still go in  [7] bytes that still go in  [8] 1: the page is still empty, so one item goes in
--   whatever its size  [9] 1: tell what is covered also where nothing is needed  [10] epoch and [11] seq where a walk goes
--   on (empty: it begins)  [12] bytes of the conversation's name  [13] bytes of an archived message (0: no archive)
-- Replies: {} none of the user's, or {epoch, complete, from, to, position-seq, finished, stable, {view}, items left, bytes
--   left, {item}…}: from..to covered (0 0: nothing told), complete 1: the conversation ends in this page, finished 1:
--   `view` is told. An item is {seq mid from device n id type body at}, or a hole {from to reason}
-- @include conversation
-- @include settled
-- @include filler
local user, device = ARGV[2], ARGV[3]
local newest, hold, always = ARGV[4] == 'newest', ARGV[5] == '1', ARGV[9] == '1'
local page = new_page(tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[12]), tonumber(ARGV[13]))
local archived, who = page.archived > 0, user .. '/' .. device

local c = load_conversation(KEYS[1], KEYS[2], KEYS[3], ARGV[1] == 'd')
local spans = (c.exists or c.direct) and spans_of(c, user) or nil
if not spans then return {} end
local ranges = load_ranges(c, KEYS[4], who)
local limit = visible_head(c, spans)
local settled = c.head > 0 and settled_up_to(c, spans, ranges, who) or 0

local function answer(complete, from, to, position, finished)
  local view = finished and view_of(c, spans, KEYS[4], KEYS[5], user, device) or {}
  local reply = {txt(c.epoch), complete and '1' or '0', txt(from), txt(to), txt(position), finished and '1' or '0',
    c.head > c.stable and '0' or '1', view, txt(page.items_left), txt(page.bytes_left)}
  for _, item in ipairs(page.items) do reply[#reply + 1] = item end
  return reply
end
local function hole_at(seq) return redis.error_reply('EVERYONCE a hole at seq ' .. txt(seq)) end

if limit == 0 then return answer(true, 0, 0, 0, false) end
local go_on
if ARGV[10] ~= '' then
  local keep = keep_of(c, tonumber(ARGV[10]))
  -- Newest first goes on below: what came in place of what was lost lies above.
  if keep then go_on = math.min(tonumber(ARGV[11]), newest and keep + 1 or keep) end
end
local nothing_left = settled >= limit
if nothing_left and not always then return answer(true, 0, 0, 0, false) end

-- What was removed, from `seq` up: nil, no room; else the next seq. With an archive only what is needed of it.
local function over_removed(seq, last)
  local to = math.min(c.floor, last)
  if archived then to = end_of_wanted(spans, ranges, seq, to) end
  to = add_removed(page, seq, to)
  return to and to + 1
end
local function is_removed(seq) return seq <= c.floor and (not archived or next_visible(spans, seq) == seq) end

-- Fills the page from `seq` up to `last` with what is needed: the first seq that it did not come to, and where the log has
-- a hole (nil: nowhere).
local function walk_up(seq, last)
  local chunk, at = {}, 1
  while seq <= last do
    local visible = math.min(next_visible(spans, seq), last + 1)
    if next_unacked(ranges, seq) > seq then
      seq = next_unacked(ranges, seq)
    elseif is_removed(seq) then
      local following = over_removed(seq, last)
      if not following then return seq end
      seq = following
    elseif visible > seq then
      if not add_hole(page, seq, visible - 1) then return seq end
      seq = visible
    else
      local own_end = end_of_own_run(c, who, seq, last)
      if own_end >= seq then
        seq = own_end + 1
      else
        if page.items_left < 1 then return seq end
        -- Read ahead some: one look-up for many messages.
        while chunk[at] and chunk[at].seq < seq do at = at + 1 end
        if not chunk[at] or chunk[at].seq ~= seq then
          chunk, at = {}, 1
          local count = math.min(page.items_left, 32)
          local found = redis.call('XRANGE', c.log, txt(seq) .. '-0', txt(last) .. '-0', 'COUNT', count)
          for i, entry in ipairs(found) do
            chunk[i] = {seq = tonumber(string.match(entry[1], '^%d+')), record = record_of(entry[2])}
          end
          if not chunk[1] or chunk[1].seq ~= seq then return seq, seq end
        end
        if not add_message(page, seq, chunk[at].record) then return seq end
        seq = seq + 1
      end
    end
  end
  return seq
end

if not newest then
  if nothing_left then return answer(true, limit, limit, limit, true) end
  if go_on and go_on > settled and go_on >= limit then return answer(true, 0, 0, 0, false) end
  local first = math.max(settled, go_on or 0) + 1
  local seq, hole = walk_up(first, limit)
  if hole then return hole_at(hole) end
  local covered = math.min(seq - 1, limit)
  if covered < first then return answer(covered == limit, 0, 0, 0, covered == limit) end
  return answer(covered == limit, first, covered, covered, covered == limit)
end

if nothing_left then return answer(true, limit, limit, 0, true) end
if not hold and #ranges >= MAX_RANGES then
  -- No range is left for what lies higher: the oldest hole, whose acks join what lies above it.
  local last = limit
  for _, r in ipairs(ranges) do
    if r.from > settled + 1 then
      last = math.min(last, r.from - 1)
      break
    end
  end
  local seq, hole = walk_up(settled + 1, last)
  if hole then return hole_at(hole) end
  local items = page.items
  for i = 1, math.floor(#items / 2) do items[i], items[#items + 1 - i] = items[#items + 1 - i], items[i] end
  if seq == settled + 1 then return answer(false, 0, 0, 0, false) end
  return answer(false, settled + 1, seq - 1, go_on and tonumber(ARGV[11]) or 0, false)
end
local top = (go_on and go_on > 0) and math.min(limit, go_on - 1) or limit
if settled >= top then return answer(true, 0, 0, 0, false) end
local seq, full = top, false
while seq > settled and not full do
  if seq <= c.floor then
    seq = math.max(previous_unacked(ranges, seq), settled)
    if seq <= settled then break end
  end
  local visible = previous_visible(spans, seq)
  if is_removed(seq) then
    local from = add_removed_below(page, archived and start_of_wanted(spans, ranges, seq, settled + 1) or settled + 1, seq)
    full, seq = from == nil, from and from - 1 or seq
  elseif visible < seq then
    full = not add_hole(page, math.max(visible, settled) + 1, seq)
    if not full then seq = math.max(visible, settled) end
  elseif previous_unacked(ranges, seq) < seq then
    seq = previous_unacked(ranges, seq)
  else
    local r = read_log(c, seq)
    if not r then return hole_at(seq) end
    if r.who == who then
      seq = math.max(seq - math.min(seq, math.max(r.run, 1)), c.floor)
    else
      full = not add_message(page, seq, r)
      if not full then seq = seq - 1 end
    end
  end
end
local from = math.max(seq, settled) + 1
if from > top then return answer(seq <= settled, 0, 0, 0, false) end
return answer(seq <= settled, from, top, from, top == limit)
