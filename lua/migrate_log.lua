-- Messages that `everyonce migrate` moves, as lua/shared/append.lua writes them. Those that are there already are passed
-- over, so that it may be run again.
--
-- KEYS[1] log
-- ARGV[1] seq of the first message that the log has at all; then of each message, ascending: seq, m a n f d i t b s r
-- Replies: OK · GAP what lies before is not there yet, and nothing was written
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local head = last and tonumber(string.match(last[1], '^%d+')) or tonumber(ARGV[1]) - 1
local NAMES = {'m', 'a', 'n', 'f', 'd', 'i', 't', 'b', 's', 'r'}
for i = 2, #ARGV, 11 do
  local seq = tonumber(ARGV[i])
  if seq > head + 1 then return 'GAP' end
  if seq == head + 1 then
    local entry = {}
    for j, name in ipairs(NAMES) do entry[2 * j - 1], entry[2 * j] = name, ARGV[i + j] end
    redis.call('XADD', KEYS[1], ARGV[i] .. '-0', unpack(entry))
    head = seq
  end
end
return 'OK'
