-- One process at a time does a work that all share: which one, and for how long nobody else.
--
-- KEYS[1] the turn
-- ARGV[1] owner  [2] ms
-- Replies: 1 it is the owner's, for so long from now; 0 another's
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
