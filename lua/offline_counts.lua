-- How many items wait for a receiver, by sender. Keys as in offline_append.lua.
--
-- KEYS counts
-- Reply: {sender count …}
return redis.call('HGETALL', KEYS[1])
