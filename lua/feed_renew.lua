-- Holds leases of one partition on.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)
-- ARGV[1] group  [2] ms  [3…] per lease: conversation, lease
-- Replies: {lease…} those that are not the caller's any more
-- @include conversation
-- @include feed
local till, lost = txt(time_ms() + tonumber(ARGV[2])), {}
for i = 3, #ARGV, 2 do
  local e = leased(ARGV[i], ARGV[i + 1])
  if e then
    e.till = till
    save_entry(ARGV[i], e)
    redis.call('ZADD', g.held, till, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i + 1]
  end
end
return lost
