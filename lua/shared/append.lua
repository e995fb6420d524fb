-- Numbering and storing. Nothing is written before everything in the call is decided: what a script has written stays
-- when it fails later.
local MAX_EPOCHS = 16

local replication_id
local function current_replication_id()
  if not replication_id then
    replication_id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or 'none'
  end
  return replication_id
end

-- Begins the first epoch, or a new one where another server (or the same one after a restart) may have lost what the
-- last one acked (semantics c-1).
local function begin_epoch_if_due(c, candidate)
  local id = current_replication_id()
  if c.exists and c.rid == id then return end
  c.epoch = math.max(c.epoch + 1, candidate)
  c.epochs[#c.epochs + 1] = {epoch = c.epoch, first = c.head + 1}
  if #c.epochs > MAX_EPOCHS then table.remove(c.epochs, 1) end
  c.is_new = not c.exists
  c.rid, c.exists, c.epochs_changed = id, true, true
end

-- `m`: {mid, n, from, device, id, type, body}. Returns its seq; `at` is m.at.
local function append(c, m, now, candidate)
  begin_epoch_if_due(c, candidate)
  c.head = c.head + 1
  c.at = math.max(now, c.at)
  if string.sub(m.type, 1, 7) == 'system.' then c.system = c.system + 1 end
  local who = m.from .. '/' .. m.device
  c.run = who == c.last_who and c.run + 1 or 1
  c.last_who = who
  c.pending[c.head] = {m = m.mid, a = txt(c.at), n = txt(m.n), f = m.from, d = m.device, i = m.id, t = m.type, b = m.body,
    s = txt(c.system), r = txt(c.run), who = who, run = c.run, system = c.system}
  c.appended = c.appended or {}
  c.appended[#c.appended + 1] = c.head
  m.seq, m.epoch, m.at = c.head, c.epoch, txt(c.at)
  return c.head
end

-- What a partition has beside its conversations, as every script that appends is given it: KEYS[1] to KEYS[3].
local shelf = {catalogue = KEYS[1], groups = KEYS[2], feed = KEYS[3]}

-- While there is a consumer group, the feed tells where there is news (see feed.lua): an entry for each conversation of
-- the call, `c` its name, `f` and `h` the first and the last seq that were added, `a` when.
local function feed_groups(c, name)
  if shelf.has_groups == nil then shelf.has_groups = redis.call('EXISTS', shelf.groups) == 1 end
  if not shelf.has_groups then return end
  local first = c.appended[1]
  redis.call('XADD', shelf.feed, '*', 'c', name, 'f', txt(first), 'h', txt(c.head), 'a', c.pending[first].a)
end

local function save_conversation(c)
  if not c.appended then return end
  local name = string.match(c.meta, '^eo:{p%d+}:c:(.*)$')
  if c.is_new then redis.call('ZADD', shelf.catalogue, '0', name) end
  if c.epochs_changed then
    local parts = {}
    for i, e in ipairs(c.epochs) do parts[i] = txt(e.epoch) .. ':' .. txt(e.first) end
    redis.call('HSET', c.meta, 'ep', table.concat(parts, ','), 'rid', c.rid)
  end
  redis.call('HSET', c.meta, 'h', txt(c.head), 'sc', txt(c.system), 'at', txt(c.at), 'lw', c.last_who, 'run', txt(c.run),
    'mv', c.version)
  for _, seq in ipairs(c.appended) do
    local r = c.pending[seq]
    redis.call('XADD', c.log, txt(seq) .. '-0', 'm', r.m, 'a', r.a, 'n', r.n, 'f', r.f, 'd', r.d, 'i', r.i, 't', r.t,
      'b', r.b, 's', r.s, 'r', r.r)
  end
  feed_groups(c, name)
end

-- A user's own messages, see own.lua.
local function save_own(key, seqs)
  local parts = {}
  for i, seq in ipairs(seqs) do parts[i] = struct.pack('>I8', seq) end
  redis.call('APPEND', key, table.concat(parts))
end
