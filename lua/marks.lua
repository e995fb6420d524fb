-- Marks, of one partition and in order: what devices have acked, what users have read.
--
-- KEYS per act (5): meta, log, members, senders, marks of the conversation
-- ARGV per act (9): kind of conversation (d, g), got | read | at | begin, user, device, pe, pe that is known elsewhere,
--   epoch (0: the current one), from, to
--   got: from..to is acked (from 0: all up to `to`). read: the user's mark. at: a client's position (epoch, to); what
--   survived of it is acked. begin: a new device acks all up to its user's read mark
-- Replies, per act: got {OK got acked-to rose} · read {OK read rose} · at, begin {OK} · {UNKNOWN_CONV} · {FENCED pe}
-- @include conversation
-- @include producer
-- @include settled
local function act(k, a)
  local c = load_conversation(KEYS[k], KEYS[k + 1], KEYS[k + 2], ARGV[a] == 'd')
  local marks = KEYS[k + 4]
  local kind, user, device = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local pe, known_pe = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local epoch, from, to = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8])
  if not c.exists and not c.direct then return {'UNKNOWN_CONV'} end
  local spans = spans_of(c, user)
  if not spans then return {'UNKNOWN_CONV'} end
  local who = user .. '/' .. device
  if pe > 0 then
    local known = tonumber(redis.call('HGET', KEYS[k + 3], who .. '!') or '0')
    if pe < math.max(known, known_pe) then return {'FENCED', txt(math.max(known, known_pe))} end
    if pe > known and c.exists then redis.call('HSET', KEYS[k + 3], who .. '!', txt(pe)) end
  end
  if epoch == 0 then epoch = c.epoch end

  if kind == 'read' then
    local mark = load_read(c, marks, user)
    local keep = keep_of(c, epoch)
    if not keep then return {'OK', txt(mark.seq), '0'} end
    local seq = math.min(to, keep, visible_head(c, spans))
    if seq <= mark.seq then return {'OK', txt(mark.seq), '0'} end
    redis.call('HSET', marks, 'r:' .. user, txt(c.epoch) .. '|' .. txt(seq) .. '|' .. txt(system_count(c, seq)))
    return {'OK', txt(seq), '1'}
  end

  local ranges = load_ranges(c, marks, who)
  local before = settled_up_to(c, spans, ranges, who)
  local acked_to = 0
  if kind == 'begin' then
    acked_to = load_read(c, marks, user).seq
  elseif kind == 'at' then
    acked_to = math.min(to, keep_of(c, epoch) or 0)
  else
    local keep = keep_of(c, epoch)
    acked_to = keep and math.min(to, keep) or 0
  end
  if acked_to > 0 and ack(c, spans, ranges, who, from, acked_to) then
    redis.call('HSET', marks, 'g:' .. who, ranges_text(c, ranges))
  end
  if kind ~= 'got' then return {'OK'} end
  local got = settled_up_to(c, spans, ranges, who)
  return {'OK', txt(got), txt(acked_to), got > before and '1' or '0'}
end

local replies, k, a = {}, 1, 1
while k + 4 <= #KEYS do
  replies[#replies + 1] = act(k, a)
  k, a = k + 5, a + 9
end
return replies
