-- The n of one device in one conversation (semantics d): how far they went and what became of the last 64, in the
-- conversation's hash of senders, all under `user/device`:
--   who      `first last`: the n below `first` are unknown (begun by a skip)
--   who!     the highest incarnation that was seen here
--   who#k    what became of the n with n % 64 = k, of the last 64:
--              A seq id · S (skipped) · P seq id id … (a package) · N code id message · Q code package ids id … message
--   who@id   the n under which one of the last 64 used that id
--   who=seq  `mid at id` of a message of the last 64 n that retention has removed
-- Older n lie in a sorted set of their own, 64 to a member, `block` newline what became of each; blocks that were skipped
-- whole have no member.
-- `everyonce migrate` writes what an embedded store no longer knows: `*` for the id of something refused, whatever it was,
-- and `#hash` for that of a message whose record is gone.
local WINDOW = 64

local function load_producer(senders, blocks, who, floor)
  local f = redis.call('HMGET', senders, who, who .. '!')
  local p = {senders = senders, blocks = blocks, who = who, floor = floor, slots = {}, ids = {}, new_blocks = {},
    forgotten = {}}
  p.pe, p.saved_pe = tonumber(f[2] or '0'), tonumber(f[2] or '0')
  p.first, p.last = 1, 0
  if f[1] then
    local first, last = string.match(f[1], '(%d+) (%d+)')
    p.first, p.last = tonumber(first), tonumber(last)
  end
  p.known = p.last > 0
  return p
end

local function slot_of(p, n)
  local k = n % WINDOW
  if p.slots[k] == nil then p.slots[k] = redis.call('HGET', p.senders, p.who .. '#' .. k) or '' end
  return p.slots[k]
end

local function words(text, limit)
  local list = {}
  for word in string.gmatch(text, '%S+') do
    list[#list + 1] = word
    if limit and #list == limit then break end
  end
  return list
end

-- What is in a slot: {kind, seq, ids, code, package, message}.
local function parse_slot(text)
  local kind = string.sub(text, 1, 1)
  local w = words(text)
  if kind == 'A' then return {kind = 'A', seq = tonumber(w[2]), ids = {w[3]}} end
  if kind == 'P' then
    local ids = {}
    for i = 3, #w do ids[#ids + 1] = w[i] end
    return {kind = 'A', seq = tonumber(w[2]), ids = ids, package = true}
  end
  if kind == 'N' then
    return {kind = 'N', code = w[2], ids = {w[3]}, message = string.match(text, '^%S+ %S+ %S+ ?(.*)$')}
  end
  if kind == 'Q' then
    local ids, count = {}, tonumber(w[4])
    for i = 5, 4 + count do ids[#ids + 1] = w[i] end
    local message = text
    for _ = 1, 4 + count do message = string.match(message, '^%S+ ?(.*)$') end
    return {kind = 'N', code = w[2], package = w[3], ids = ids, message = message}
  end
  return {kind = kind, ids = {}}
end

local function set_slot(p, n, text)
  local old = slot_of(p, n)
  if old ~= '' then
    local a = parse_slot(old)
    for i, id in ipairs(a.ids) do
      p.ids[id] = false
      if a.kind == 'A' and a.seq + i - 1 <= p.floor then p.forgotten[#p.forgotten + 1] = p.who .. '=' .. txt(a.seq + i - 1) end
    end
  end
  for _, id in ipairs(parse_slot(text).ids) do p.ids[id] = n end
  p.slots[n % WINDOW] = text
  p.last, p.known, p.dirty = n, true, true
end

-- After n was used: the 64 that end with it, where it ends a block, are kept for ever.
local function close_block(p)
  if p.last % WINDOW ~= 0 then return end
  local lines = {}
  for n = p.last - WINDOW + 1, p.last do lines[#lines + 1] = n < p.first and '' or slot_of(p, n) end
  p.new_blocks[p.last / WINDOW - 1] = table.concat(lines, '\n')
end

local function block_text(p, block)
  if p.new_blocks[block] then return p.new_blocks[block] end
  local found = redis.call('ZRANGEBYSCORE', p.blocks, txt(block), txt(block))[1]
  return found and string.match(found, '^%d+\n(.*)$')
end

-- What became of n ≤ last: the text of its slot; '' unknown; nil skipped long ago, with its whole block.
local function answer_to(p, n)
  if n < p.first then return '' end
  if n > p.last - WINDOW then return slot_of(p, n) end
  local block = math.floor((n - 1) / WINDOW)
  local text = block_text(p, block)
  if not text then return nil end
  local at = block * WINDOW + 1
  for line in string.gmatch(text .. '\n', '(.-)\n') do
    if at == n then return line end
    at = at + 1
  end
  return ''
end

-- What is left of the message that p's device sent at `seq`: {m, a, i}, of its record, or kept of it; nil: nothing.
local function answer_of(c, p, seq)
  local r = read_log(c, seq)
  if r or seq > c.floor then return r end
  local kept = redis.call('HGET', p.senders, p.who .. '=' .. txt(seq))
  if not kept then return nil end
  local mid, at, id = string.match(kept, '^(%d+) (%d+) (.*)$')
  return {m = mid, a = at, i = id}
end

-- Under which n of the last 64 an id was used; nil: none.
local function used_by(p, id)
  local n = p.ids[id]
  if n == nil then n = tonumber(redis.call('HGET', p.senders, p.who .. '@' .. id) or '') end
  return n and n > p.last - WINDOW and n or nil
end

local function skip_to(p, from, to)
  if not p.known then p.first, p.last = from, from - 1 end
  while p.last < to do
    local block_start = math.floor(to / WINDOW) * WINDOW
    if p.last % WINDOW == 0 and block_start > p.last then
      for n = block_start - WINDOW + 1, block_start do set_slot(p, n, 'S') end
    else
      set_slot(p, p.last + 1, 'S')
      close_block(p)
    end
  end
end

-- False: an older run of the device. `known_pe`: what the caller has heard of elsewhere.
local function admit(p, pe, known_pe)
  if pe == 0 then return true end
  if pe < math.max(p.pe, known_pe) then return false end
  p.pe = pe
  return true
end

local function save_producer(p)
  if p.pe > p.saved_pe then redis.call('HSET', p.senders, p.who .. '!', txt(p.pe)) end
  if not p.dirty then return end
  redis.call('HSET', p.senders, p.who, txt(p.first) .. ' ' .. txt(p.last))
  for k, text in pairs(p.slots) do
    if text ~= '' then redis.call('HSET', p.senders, p.who .. '#' .. k, text) end
  end
  for id, n in pairs(p.ids) do
    if n then
      redis.call('HSET', p.senders, p.who .. '@' .. id, txt(n))
    else
      redis.call('HDEL', p.senders, p.who .. '@' .. id)
    end
  end
  for _, field in ipairs(p.forgotten) do redis.call('HDEL', p.senders, field) end
  for block, text in pairs(p.new_blocks) do
    redis.call('ZADD', p.blocks, txt(block), txt(block) .. '\n' .. text)
  end
end
