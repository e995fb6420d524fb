-- Sends, of one partition and in order: dedupe → membership → number → append, all of them in one act.
--
-- KEYS[1] catalogue  [2] groups  [3] feed of the partition
-- KEYS per send (7): meta, log, members, senders of the conversation; own messages of the user there; older n of the
--   device there; the id without n in its window (any key of the partition where there is an n)
-- ARGV[1] now, Unix ms  [2] the epoch that a history beginning now would have  [3] window of ids without n, ms
--   [4] 1: a duplicate is written down, so that a WAIT behind it says something
-- ARGV per send (15): kind of conversation (d direct, g group), user, device, pe, pe that is known elsewhere, n (0 none),
--   id, type, body, mid, fingerprint of the body, `code message` of a refusal to give where its turn comes (empty: none),
--   package id, number of parts (0: none), version of the members that the caller has; then per part id, type, body, mid
-- Replies, per send an array:
--   {OK seq epoch at version [members]}   stored; `members` once per call where the caller's version is another (groups)
--   {HELD}                                a part whose n is the next one: to be held until the others are there
--   {DUP seq epoch at mid …}              stored before; of a package all mids
--   {NACK code message} {GAP expected} {CONFLICT} {TOO_OLD} {UNKNOWN_PRODUCER} {UNKNOWN_CONV}
--   {FENCED pe}                           a newer run of the device has taken over
-- Index first: whoever calls has put a direct conversation on its two users' lists; a name too many there is harmless.
-- @include conversation
-- @include producer
-- @include append
local now, candidate, window_ms, touch = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local conversations, producers, own, windows, touched = {}, {}, {}, {}, {}
local saved_conversations, saved_producers, own_order, window_order = {}, {}, {}, {}

local function duplicate(c, p, seq, id)
  local r = answer_of(c, p, seq)
  if not r then return {'TOO_OLD'} end
  if r.i ~= id then return {'CONFLICT'} end
  touched[c.meta] = true
  return {'DUP', txt(seq), txt(epoch_of(c, seq)), r.a, r.m}
end

-- What n tells of one id; nil: n is the next one.
local function numbered(c, p, n, id, package)
  if not p.known then
    if n == 1 then return nil end
    return {'UNKNOWN_PRODUCER'}
  end
  if n > p.last then
    if used_by(p, id) then return {'CONFLICT'} end
    if n == p.last + 1 then return nil end
    return {'GAP', txt(p.last + 1)}
  end
  local text = answer_to(p, n)
  if text == nil or text == 'S' then return {'CONFLICT'} end
  if text == '' then return {'TOO_OLD'} end
  local a = parse_slot(text)
  -- Moved from an embedded store (see producer.lua).
  if a.kind == 'A' and string.sub(a.ids[1], 1, 1) == '#' then return {'TOO_OLD'} end
  for i, known in ipairs(a.ids) do
    if known == id or known == '*' then
      if a.kind == 'A' then return duplicate(c, p, a.seq + i - 1, id) end
      return {'NACK', a.code, a.message}
    end
  end
  if a.kind == 'N' and a.package and package ~= '' and a.package == package then return {'NACK', a.code, a.message} end
  return {'CONFLICT'}
end

local function note_own(key, seq)
  if not own[key] then
    own[key] = {}
    own_order[#own_order + 1] = key
  end
  own[key][#own[key] + 1] = seq
end

local function stored(c, m, version)
  local reply = {'OK', txt(m.seq), txt(m.epoch), m.at, c.version}
  if not c.direct and version ~= c.version and not c.told then
    reply[6] = member_names(c)
    c.told = true
  end
  return reply
end

local function send(s)
  local c = conversations[s.meta]
  if not c then
    c = load_conversation(s.meta, s.log, s.members, s.direct)
    conversations[s.meta] = c
    saved_conversations[#saved_conversations + 1] = c
  end
  if not c.exists and not c.direct then return {'UNKNOWN_CONV'} end
  local spans = spans_of(c, s.user)
  if not spans then return {'UNKNOWN_CONV'} end
  local member = is_member(spans)
  local who = s.user .. '/' .. s.device
  local p = producers[s.senders .. who]
  if not p then
    p = load_producer(s.senders, s.blocks, who, c.floor)
    producers[s.senders .. who] = p
    saved_producers[#saved_producers + 1] = p
  end
  if s.n > 0 and not p.known and not member then return {'UNKNOWN_CONV'} end
  if not admit(p, s.pe, s.known_pe) then return {'FENCED', txt(math.max(p.pe, s.known_pe))} end

  local m = {mid = s.mid, n = s.n, from = s.user, device = s.device, id = s.id, type = s.type, body = s.body}
  if s.n == 0 then
    local known = windows[s.window] or redis.call('GET', s.window)
    if known then
      -- Its own mid and time: they outlive the record.
      local seq, since, print, mid, at = string.match(known, '^(%d+) (%d+) (%S+) (%d+) (%d+)')
      if now - tonumber(since) < window_ms then
        if print ~= s.print then return {'CONFLICT'} end
        touched[c.meta] = true
        return {'DUP', seq, txt(epoch_of(c, tonumber(seq))), at, mid}
      end
    end
    if not member then return {'UNKNOWN_CONV'} end
    if s.refused ~= '' then return {'NACK', string.match(s.refused, '^(%S+) ?(.*)$')} end
    append(c, m, now, candidate)
    note_own(s.own, m.seq)
    if not windows[s.window] then window_order[#window_order + 1] = s.window end
    windows[s.window] = table.concat({txt(m.seq), txt(now), s.print, m.mid, m.at, s.device}, ' ')
    return stored(c, m, s.version)
  end

  local parts = s.parts
  if #parts == 0 then
    local told = numbered(c, p, s.n, s.id, s.package)
    if told then return told end
    if s.package ~= '' then return {'HELD'} end
  else
    -- All parts have one n, so what it tells of one it tells of all.
    local whole
    for i, part in ipairs(parts) do
      local told = numbered(c, p, s.n, part.id, s.package)
      if told then
        if told[1] ~= 'DUP' then return told end
        if not whole then
          whole = told
        else
          if tonumber(told[2]) ~= tonumber(whole[2]) + i - 1 then return {'CONFLICT'} end
          whole[#whole + 1] = told[5]
        end
      end
    end
    if whole then return whole end
  end

  local refusal = member and s.refused or 'unknown_conv no such conversation, or you are not in it'
  if refusal ~= '' then
    local code, message = string.match(refusal, '^(%S+) ?(.*)$')
    message = string.gsub(message, '%s', ' ')
    if #parts == 0 then
      set_slot(p, s.n, 'N ' .. code .. ' ' .. s.id .. ' ' .. message)
    else
      local ids = {}
      for i, part in ipairs(parts) do ids[i] = part.id end
      set_slot(p, s.n, 'Q ' .. code .. ' ' .. s.package .. ' ' .. #ids .. ' ' .. table.concat(ids, ' ') .. ' ' .. message)
    end
    close_block(p)
    return {'NACK', code, message}
  end

  if #parts == 0 then
    append(c, m, now, candidate)
    note_own(s.own, m.seq)
    set_slot(p, s.n, 'A ' .. txt(m.seq) .. ' ' .. s.id)
    close_block(p)
    return stored(c, m, s.version)
  end
  local first
  local ids = {}
  for i, part in ipairs(parts) do
    local one = {mid = part.mid, n = s.n, from = s.user, device = s.device, id = part.id, type = part.type, body = part.body}
    append(c, one, now, candidate)
    note_own(s.own, one.seq)
    first = first or one
    ids[i] = part.id
  end
  set_slot(p, s.n, 'P ' .. txt(first.seq) .. ' ' .. table.concat(ids, ' '))
  close_block(p)
  return stored(c, first, s.version)
end

local replies, k, a = {}, 4, 5
while k + 6 <= #KEYS do
  local s = {meta = KEYS[k], log = KEYS[k + 1], members = KEYS[k + 2], senders = KEYS[k + 3], own = KEYS[k + 4],
    blocks = KEYS[k + 5], window = KEYS[k + 6], direct = ARGV[a] == 'd', user = ARGV[a + 1], device = ARGV[a + 2],
    pe = tonumber(ARGV[a + 3]), known_pe = tonumber(ARGV[a + 4]), n = tonumber(ARGV[a + 5]), id = ARGV[a + 6],
    type = ARGV[a + 7], body = ARGV[a + 8], mid = ARGV[a + 9], print = ARGV[a + 10], refused = ARGV[a + 11],
    package = ARGV[a + 12], version = ARGV[a + 14], parts = {}}
  local count = tonumber(ARGV[a + 13])
  k, a = k + 7, a + 15
  for i = 1, count do
    s.parts[i] = {id = ARGV[a], type = ARGV[a + 1], body = ARGV[a + 2], mid = ARGV[a + 3]}
    a = a + 4
  end
  replies[#replies + 1] = send(s)
end

for _, c in ipairs(saved_conversations) do save_conversation(c) end
for _, p in ipairs(saved_producers) do save_producer(p) end
for _, key in ipairs(own_order) do save_own(key, own[key]) end
for _, key in ipairs(window_order) do redis.call('SET', key, windows[key], 'PX', txt(window_ms)) end
if touch then
  for meta in pairs(touched) do redis.call('HINCRBY', meta, 'w', 1) end
end
return replies
