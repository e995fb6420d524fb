-- Up to where a conversation is known to be replicated, so that reads show nothing that a failover may take back
-- (semantics c-7).
--
-- KEYS[1] meta
-- ARGV[1] touch: writes something, for the WAIT that follows on this connection · raise: that WAIT succeeded
--   [2] raise: what touch answered
-- Replies: head, as a text
local head = redis.call('HGET', KEYS[1], 'h') or '0'
if head == '0' then return head end
if ARGV[1] == 'touch' then
  redis.call('HINCRBY', KEYS[1], 'w', 1)
  return head
end
local stable = redis.call('HGET', KEYS[1], 'st') or '0'
if tonumber(ARGV[2]) > tonumber(stable) and tonumber(ARGV[2]) <= tonumber(head) then
  redis.call('HSET', KEYS[1], 'st', ARGV[2])
end
return head
