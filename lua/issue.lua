-- Makes keys known, for claims that take nothing else. The records are those of claim.lua; one that is there stays as it is.
--
-- KEYS the records, all in one slot
-- ARGV[1] a name for this call, which nobody uses again  [2] whom they are for ('' nobody)  [3] ms until an unused one expires
-- Reply: how many were not known, as a text; the same again after a lost answer
local issued = 0
for _, record in ipairs(KEYS) do
  local found = redis.call('HMGET', record, 'st', 'is')
  if not found[1] then
    redis.call('HSET', record, 'st', 'I', 'ow', ARGV[2], 'at', '0', 'is', ARGV[1])
    redis.call('PEXPIRE', record, ARGV[3])
  end
  if not found[1] or found[2] == ARGV[1] then issued = issued + 1 end
end
return string.format('%.0f', issued)
