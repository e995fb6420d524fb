-- Which consumer groups there are, of all partitions together.
--
-- KEYS[1] hash: group → `state created`
-- ARGV[1] list · open: finds it or makes it · ready: it is known in all partitions · drop: it is being forgotten · gone
--   [2] group  [3] now, Unix ms  [4] how many there may be
-- Replies: list {group state created …} · open {state fresh}: state opening | ready | dropping, fresh 1: it was made now;
--   {FULL} · ready, drop, gone {state} as it was; {NONE} there is none
local act, name = ARGV[1], ARGV[2]
if act == 'list' then
  local all, reply = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    reply[#reply + 1] = all[i]
    reply[#reply + 1], reply[#reply + 2] = string.match(all[i + 1], '^(%a+) (%d+)$')
  end
  return reply
end
local text = redis.call('HGET', KEYS[1], name)
local state, created = string.match(text or '', '^(%a+) (%d+)$')
if act == 'open' then
  if state then return {state, '0'} end
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return {'FULL'} end
  redis.call('HSET', KEYS[1], name, 'opening ' .. ARGV[3])
  return {'opening', '1'}
end
if not state then return {'NONE'} end
if act == 'ready' and state == 'opening' then redis.call('HSET', KEYS[1], name, 'ready ' .. created) end
if act == 'drop' then redis.call('HSET', KEYS[1], name, 'dropping ' .. created) end
if act == 'gone' then redis.call('HDEL', KEYS[1], name) end
return {state}
