-- A message token is used for one message (protocol.md, Tokens). It lies in a slot of its own, since messages of any
-- conversation may come under it: so it is taken before the message is stored, and given back where it is not.
--
-- KEYS[1] the token: `conv user device n seq epoch mid at`, seq 0: its message is not known to be stored
-- ARGV[1] take | stored | give_back  [2] conv  [3] user  [4] device  [5] n (0: none)
--   take: [6] ms for which it is remembered   stored: [6] seq  [7] epoch  [8] mid  [9] at
-- Replies: take {NEW} · {SAME seq epoch mid at} taken by the same message before · {USED} by another; stored, give_back {OK}
local message = table.concat({ARGV[2], ARGV[3], ARGV[4], ARGV[5]}, ' ')
local known = redis.call('GET', KEYS[1])
local same = known and string.sub(known, 1, #message + 1) == message .. ' '
if ARGV[1] == 'take' then
  if not known then
    redis.call('SET', KEYS[1], message .. ' 0 0 0 0', 'PX', ARGV[6])
    return {'NEW'}
  end
  if not same then return {'USED'} end
  return {'SAME', string.match(known, '(%d+) (%d+) (%d+) (%d+)$')}
end
if ARGV[1] == 'stored' and same then
  redis.call('SET', KEYS[1], message .. ' ' .. table.concat({ARGV[6], ARGV[7], ARGV[8], ARGV[9]}, ' '), 'KEEPTTL')
end
if ARGV[1] == 'give_back' and same and string.find(known, ' 0 0 0 0$') then redis.call('DEL', KEYS[1]) end
return {'OK'}
