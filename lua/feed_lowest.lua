-- What must stay in the log of a conversation for the sake of consumer groups: all above the answer. Writes nothing.
--
-- KEYS[1] groups  [2] feed  [3…] the positions of each group that the caller knows
-- ARGV[1] conversation  [2…] names of these groups
-- Replies: {seq} · {NONE} there is no group, or all have passed all · {GROUPS name} there is another · {FEED} a group has
--   to take over news first
-- @include conversation
-- @include groups
local states = {}
for i = 2, #ARGV do states[ARGV[i]] = KEYS[1 + i] end
local seq, why = lowest_position(KEYS[1], KEYS[2], states, ARGV[1])
if not seq then return why end
return {seq == math.huge and 'NONE' or txt(seq)}
