-- What all scripts know of a conversation. Its keys, all in the partition's slot, are always given in this order:
--   meta     hash: h head, ep epochs `epoch:first-seq,…`, rid replication id of the newest epoch, sc how many system.*
--            messages, at when the last was accepted, cr creator, ha 1: history for all, mv seq of the last change of
--            members, lw who sent the last message (`user/device`), run how many in a row that is, st: up to here known
--            to be replicated, w: written to make WAIT mean something,
--            fl floor: retention has removed all up to it, fs how many system.* messages that were
--   log      stream, entry `seq-0`: m mid, a at, n, f from, d device, i id, t type, b body, s system.* so far, r run
--   members  hash: user → spans `from-to-before-end;…` that the user sees (to `*`: a member), with the number of system.*
--            messages before from and up to to. Of groups only
--   senders  hash: see producer.lua
--   marks    hash: `g:user/device` → `epoch|from-to,…` acked; `r:user` → `epoch|seq|system` read
-- Numbers in the store and in replies are texts; as Lua numbers they stay below 2^53 (mids are never numbers).
local function txt(number) return string.format('%.0f', number) end

local function load_conversation(meta, log, members, direct)
  local f = redis.call('HMGET', meta, 'h', 'ep', 'rid', 'sc', 'at', 'cr', 'ha', 'mv', 'lw', 'run', 'st',
    'fl', 'fs')
  local c = {meta = meta, log = log, members = members, direct = direct, pending = {}}
  c.head, c.rid, c.system = tonumber(f[1] or '0'), f[3], tonumber(f[4] or '0')
  c.at, c.creator, c.all, c.version = tonumber(f[5] or '0'), f[6], f[7] == '1', f[8] or '0'
  c.last_who, c.run, c.stable = f[9] or '', tonumber(f[10] or '0'), tonumber(f[11] or '0')
  c.floor, c.floor_system = tonumber(f[12] or '0'), tonumber(f[13] or '0')
  c.epochs = {}
  for epoch, first in string.gmatch(f[2] or '', '(%d+):(%d+)') do
    c.epochs[#c.epochs + 1] = {epoch = tonumber(epoch), first = tonumber(first)}
  end
  c.exists = #c.epochs > 0
  c.epoch = c.exists and c.epochs[#c.epochs].epoch or 0
  return c
end

local function spans_of(c, user)
  if c.direct then return {{from = 1, to = math.huge, before = 0, at_end = 0}} end
  local text = redis.call('HGET', c.members, user)
  if not text then return nil end
  local spans = {}
  for from, to, before, at_end in string.gmatch(text, '(%d+)-([%d*]+)-(%d+)-(%d+)') do
    spans[#spans + 1] = {from = tonumber(from), to = to == '*' and math.huge or tonumber(to),
      before = tonumber(before), at_end = tonumber(at_end)}
  end
  return #spans > 0 and spans or nil
end

local function spans_text(spans)
  local parts = {}
  for i, s in ipairs(spans) do
    local to = s.to == math.huge and '*' or txt(s.to)
    parts[i] = txt(s.from) .. '-' .. to .. '-' .. txt(s.before) .. '-' .. txt(s.at_end)
  end
  return table.concat(parts, ';')
end

local function is_member(spans) return spans ~= nil and spans[#spans].to == math.huge end
local function visible_head(c, spans) return math.min(spans[#spans].to, c.head) end

local function next_visible(spans, seq)
  for _, s in ipairs(spans) do
    if seq <= s.to then return math.max(seq, s.from) end
  end
  return math.huge
end

local function previous_visible(spans, seq)
  for i = #spans, 1, -1 do
    if seq >= spans[i].from then return math.min(seq, spans[i].to) end
  end
  return 0
end

local function epoch_of(c, seq)
  for i = #c.epochs, 1, -1 do
    if c.epochs[i].first <= seq then return c.epochs[i].epoch end
  end
  return c.exists and c.epochs[1].epoch or 0
end

-- The highest seq of `epoch` that is still the same message; nil: an unknown history (semantics c-3).
local function keep_of(c, epoch)
  for i, e in ipairs(c.epochs) do
    if e.epoch == epoch then
      local following = c.epochs[i + 1]
      return following and math.min(c.head, following.first - 1) or c.head
    end
  end
  return nil
end

local function record_of(fields)
  local r = {}
  for i = 1, #fields, 2 do r[fields[i]] = fields[i + 1] end
  r.who = r.f .. '/' .. r.d
  r.run, r.system = tonumber(r.r), tonumber(r.s)
  return r
end

-- The message at `seq`, also of this call; nil: not in the log, or removed.
local function read_log(c, seq)
  if c.pending[seq] then return c.pending[seq] end
  if seq <= c.floor or seq > c.head then return nil end
  local id = txt(seq) .. '-0'
  local found = redis.call('XRANGE', c.log, id, id)[1]
  return found and record_of(found[2]) or nil
end

local function member_names(c)
  local all, names = redis.call('HGETALL', c.members), {}
  for i = 1, #all, 2 do
    if string.find(all[i + 1], '-*-', 1, true) then names[#names + 1] = all[i] end
  end
  return names
end
