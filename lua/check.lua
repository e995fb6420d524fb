-- Claims and commits many keys at once: which of them are new within the window? The records are those of claim.lua; a
-- claim whose lease runs counts as done.
--
-- KEYS the records, all in one slot; the same may come twice, and is new the first time
-- ARGV[1] a name for this call, which nobody uses again: asked again after a lost answer, it tells what it told
-- ARGV[2] ms that a key is remembered from now on
-- Reply: a text of 1 (new) and 0 (known), one for each key. New ones are remembered when it is given.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local told = {}
for i, record in ipairs(KEYS) do
  local found = redis.call('HMGET', record, 'st', 'ow', 'lu')
  local state, mine = found[1], ARGV[1] .. ':' .. i
  if not state or state == 'I' or (state == 'C' and tonumber(found[3] or '0') <= now) then
    -- Without the fence of a claim that has lapsed: its owner may come late, and is not the one who was told "new".
    if state then redis.call('HDEL', record, 'fe', 'lu', 're') end
    redis.call('HSET', record, 'st', 'D', 'ow', mine)
    redis.call('PEXPIRE', record, ARGV[2])
    told[i] = '1'
  else
    told[i] = state == 'D' and found[2] == mine and '1' or '0'
  end
end
return table.concat(told)
