-- Puts items of one conversation into a page, as far as its room goes: items, bytes, and always at least one item,
-- however large (semantics f-12). `archived`: what retention has removed is to be filled in from an archive, whose
-- messages take up to so many bytes each; 0: one hole for all of it.
local KEYS_AND_NUMBERS = 192

local function new_page(items, bytes, empty, name_bytes, archived)
  return {items_left = items, bytes_left = bytes, empty = empty, name_bytes = name_bytes, archived = archived, items = {}}
end

local function fits(page, bytes) return page.items_left > 0 and (page.empty or bytes <= page.bytes_left) end
local function spend(page, bytes)
  page.items_left, page.bytes_left, page.empty = page.items_left - 1, math.max(0, page.bytes_left - bytes), false
end

-- What may not be seen, or (`expired`) was removed. False: no room, nothing added.
local function add_hole(page, from, to, expired)
  local bytes = KEYS_AND_NUMBERS + page.name_bytes
  if not fits(page, bytes) then return false end
  spend(page, bytes)
  page.items[#page.items + 1] = {txt(from), txt(to), expired and 'expired' or 'not_visible'}
  return true
end

local function add_message(page, seq, r)
  local bytes = KEYS_AND_NUMBERS + page.name_bytes + #r.f + #r.d + #r.i + #r.t + #r.b
  if not fits(page, bytes) then return false end
  spend(page, bytes)
  page.items[#page.items + 1] = {txt(seq), r.m, r.f, r.d, r.n, r.i, r.t, r.b, r.a}
  return true
end

local function add_removed_all(page, from, to)
  if page.archived > 0 then
    local bytes = page.archived + page.name_bytes
    if not fits(page, bytes) then return false end
    -- One is the hole's own.
    for _ = from, to - 1 do spend(page, bytes) end
  end
  return add_hole(page, from, to, true)
end

-- How many items of the archive go in; at least one is tried.
local function archive_room(page)
  local by_bytes = math.floor(page.bytes_left / (page.archived + page.name_bytes))
  return math.max(1, math.min(by_bytes, page.items_left))
end

-- What was removed, from `from` up as far as there is room, or from `to` down. Returns where it ends; nil: no room.
local function add_removed(page, from, to)
  if page.archived > 0 then to = math.min(to, from + archive_room(page) - 1) end
  return add_removed_all(page, from, to) and to or nil
end
local function add_removed_below(page, from, to)
  if page.archived > 0 then from = math.max(from, to - archive_room(page) + 1) end
  return add_removed_all(page, from, to) and from or nil
end

-- Of a stretch that is visible and not acked (ranges nil: whatever was acked), how far it goes from `seq`, up or down.
local function end_of_wanted(spans, ranges, seq, limit)
  for _, s in ipairs(spans) do
    if seq >= s.from and seq <= s.to then limit = math.min(limit, s.to) end
  end
  for _, r in ipairs(ranges or {}) do
    if r.from > seq then return math.min(limit, r.from - 1) end
  end
  return limit
end
local function start_of_wanted(spans, ranges, seq, lowest)
  for _, s in ipairs(spans) do
    if seq >= s.from and seq <= s.to then lowest = math.max(lowest, s.from) end
  end
  for _, r in ipairs(ranges or {}) do
    if r.to < seq then lowest = math.max(lowest, r.to + 1) end
  end
  return lowest
end
