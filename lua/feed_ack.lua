-- Who holds a conversation has handled it up to a seq, gives it back, or gives a message up. The lease's number is the
-- fence: who lost it changes nothing.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)  [7] meta  [8] log of the
--   conversation
-- ARGV[1] group  [2] conversation  [3] lease  [4] seq: handled up to here (0: nothing more)  [5] 1: give the lease back
--   [6] 1: the message at seq is given up, and kept as a dead letter  [7] attempts  [8] error  [9] now, Unix ms
-- Replies: {OK position news} news 1: it was given back and has more · {NONE} no such group · {LOST} the lease has run
--   out · {GONE} there is no such message
-- @include conversation
-- @include feed
local conv, seq = ARGV[2], tonumber(ARGV[4])
if not load_group() then return {'NONE'} end
local e = leased(conv, ARGV[3])
if not e then return {'LOST'} end
if ARGV[6] == '1' then
  local c = load_conversation(KEYS[7], KEYS[8], '', false)
  local r = read_log(c, seq)
  if not r then return {'GONE'} end
  local letter = {ARGV[7], ARGV[9], ARGV[8], conv, txt(seq), txt(epoch_of(c, seq)), r.f, r.d, r.n, r.i, r.t, r.b, r.a}
  -- Known already where the position was lost and it is given up again.
  local fresh = redis.call('HSET', g.letters, r.m, cmsgpack.pack(letter))
  if fresh == 1 then redis.call('HINCRBY', g.state, '#letters', 1) end
end
pass(conv, e, seq, KEYS[8])
local news = false
if ARGV[5] == '1' then news = let_go(conv, e) end
return {'OK', txt(e.position), news and '1' or '0'}
