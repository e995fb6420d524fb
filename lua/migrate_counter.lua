-- A counter that `everyonce migrate` moves (see take.lua): nothing that it gave out may be lost, so it need not jump.
--
-- KEYS[1] the counter
-- ARGV[1] the newest number  [2] when it was given, Unix ms
-- Reply: OK
local rid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'at', ARGV[2], 'rid', rid)
return 'OK'
