-- A device of a user: which run of it is the newest, and whether it has said hello.
--
-- KEYS[1] the user's devices, hash: device → `pe first-hello last-seen`
-- ARGV[1] hello | done | raise | seen  [2] device  [3] pe  [4] now, Unix ms
--   hello: a connection of this run begins. done: where it begins is settled: its first hello is over. raise: a run of it
--   was heard of; seen: and it is still there
-- Replies: {OK pe first last} (first 1: its first hello is not over; last: of all its hellos this one has the highest, so
--   that of two connections the later one is known everywhere), {FENCED pe} a newer run has taken over
local found = redis.call('HGET', KEYS[1], ARGV[2]) or '0 0 0'
local pe, first, seen = string.match(found, '^(%d+) (%d+) (%d+)$')
local offered = tonumber(ARGV[3])
if offered < tonumber(pe) then return {'FENCED', pe} end
local newest = string.format('%.0f', offered)
if ARGV[1] == 'hello' then seen = string.format('%.0f', math.max(tonumber(seen) + 1, tonumber(ARGV[4]))) end
if ARGV[1] == 'seen' then seen = string.format('%.0f', math.max(tonumber(seen), tonumber(ARGV[4]))) end
if ARGV[1] == 'done' then first = ARGV[4] end
redis.call('HSET', KEYS[1], ARGV[2], newest .. ' ' .. first .. ' ' .. seen)
return {'OK', newest, first == '0' and '1' or '0', seen}
