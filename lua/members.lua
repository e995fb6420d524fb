-- Who is in a group: create, add, remove, leave. Each change is a message with a seq of its own (protocol.md,
-- Conversations).
--
-- KEYS[1] catalogue  [2] groups  [3] feed of the partition  [4] meta  [5] log  [6] members  [7] senders  [8] older n
-- ARGV[1] create | add | remove | leave  [2] user  [3] device  [4] pe  [5] pe that is known elsewhere
--   [6] the authorize hook's word: 1, 0, or empty  [7] 1: history for all  [8] 1: the named users' lists name the group
--   [9] now, Unix ms  [10] the epoch that a history beginning now would have  [11] mid  [12…] users, sorted, each once
--   (create: with the creator, unless that is the system)
-- Replies: {OK seq epoch at body {added} {removed} version {members}} {NOTHING} a repeat {INDEX} index them first
--   {EXISTS} {FORBIDDEN message} {UNKNOWN_CONV} {FENCED pe}
-- @include conversation
-- @include producer
-- @include append
local act, user, pe, known_pe, allowed = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local c = load_conversation(KEYS[4], KEYS[5], KEYS[6], false)
local p = load_producer(KEYS[7], KEYS[8], user .. '/' .. ARGV[3], c.floor)
if not admit(p, pe, known_pe) then return {'FENCED', txt(math.max(p.pe, known_pe))} end
local named = {}
for i = 12, #ARGV do named[#named + 1] = ARGV[i] end

local function change(added, removed)
  local body = {}
  for _, list in ipairs({{'add', added}, {'remove', removed}}) do
    if #list[2] > 0 then body[#body + 1] = '"' .. list[1] .. '":["' .. table.concat(list[2], '","') .. '"]' end
  end
  body[#body + 1] = '"by":"' .. user .. '"'
  local m = {mid = ARGV[11], n = 0, from = 'system', device = 'system', id = ARGV[11], type = 'system.members',
    body = '{' .. table.concat(body, ',') .. '}'}
  local changed = {}
  append(c, m, tonumber(ARGV[9]), tonumber(ARGV[10]))
  for _, name in ipairs(added) do
    local spans = c.all and {} or spans_of(c, name) or {}
    local span = {from = 1, to = math.huge, before = 0, at_end = 0}
    if not c.all then span.from, span.before = c.head, c.system - 1 end
    -- Back in the very next message: one span goes on, so that spans never touch.
    if #spans > 0 and spans[#spans].to + 1 == span.from then
      spans[#spans].to = math.huge
    else
      spans[#spans + 1] = span
    end
    changed[name] = spans_text(spans)
  end
  for _, name in ipairs(removed) do
    local spans = spans_of(c, name)
    spans[#spans].to, spans[#spans].at_end = c.head, c.system
    changed[name] = spans_text(spans)
  end
  -- With the epoch: a history that was lost may have had another list at this place.
  c.version = txt(m.epoch) .. '-' .. txt(c.head)
  save_conversation(c)
  for name, text in pairs(changed) do redis.call('HSET', c.members, name, text) end
  save_producer(p)
  return {'OK', txt(m.seq), txt(m.epoch), m.at, m.body, added, removed, c.version, member_names(c)}
end

if act == 'create' then
  if allowed == '0' then return {'FORBIDDEN', 'you may not create this conversation'} end
  if c.exists then
    local same = c.creator == user
    for _, name in ipairs(named) do same = same and redis.call('HEXISTS', c.members, name) == 1 end
    return {same and 'NOTHING' or 'EXISTS'}
  end
  if ARGV[8] ~= '1' then return {'INDEX'} end
  c.creator, c.all = user, ARGV[7] == '1'
  local reply = change(named, {})
  redis.call('HSET', c.meta, 'cr', user, 'ha', ARGV[7])
  return reply
end

if not c.exists then return {'UNKNOWN_CONV'} end
local spans = spans_of(c, user)
if act == 'leave' then
  if not spans then return {'UNKNOWN_CONV'} end
  if allowed == '0' then return {'FORBIDDEN', 'you may not leave this conversation'} end
  if not is_member(spans) then return {'NOTHING'} end
  return change({}, {user})
end
local creator = c.creator == user
if allowed == '0' or (allowed == '' and not creator) then
  -- A stranger can't tell whether the conversation exists.
  if not creator and not is_member(spans) then return {'UNKNOWN_CONV'} end
  return {'FORBIDDEN', 'only its creator may change who is in this conversation'}
end
local changed = {}
for _, name in ipairs(named) do
  if is_member(spans_of(c, name)) ~= (act == 'add') then changed[#changed + 1] = name end
end
if #changed == 0 then
  save_producer(p)
  return {'NOTHING'}
end
if act == 'remove' then return change({}, changed) end
if ARGV[8] ~= '1' then return {'INDEX'} end
return change(changed, {})
