-- The seqs of a user's own messages in a conversation, for counting what is unread: a text of 8 bytes each, ascending. What
-- retention has removed counts as read, so only those above the floor matter; the others go (see disown.lua).
local function own_seq(key, index)
  return struct.unpack('>I8', redis.call('GETRANGE', key, index * 8, index * 8 + 7))
end

-- The first index from `low` on whose seq is above `seq`; `high`: none below it.
local function first_own_above(key, seq, low, high)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if own_seq(key, middle) <= seq then low = middle + 1 else high = middle end
  end
  return low
end
