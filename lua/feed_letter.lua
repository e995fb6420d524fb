-- Dead letters of a consumer group in one partition: told, marked as tried again, or forgotten.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)
-- ARGV[1] group  [2] tell: [3…] mids · mark: [3] mid  [4] attempts  [5] error  [6] now, Unix ms · forget: [3] mid
-- Replies: tell {{mid attempts at error conv seq epoch from device n id type body at}…} of those that are there ·
--   mark, forget: 1, or 0 where there is none
-- @include conversation
-- @include feed
local act, mid = ARGV[2], ARGV[3]
if act == 'tell' then
  local reply = {}
  for i = 3, #ARGV do
    local text = redis.call('HGET', g.letters, ARGV[i])
    if text then
      local letter = cmsgpack.unpack(text)
      table.insert(letter, 1, ARGV[i])
      reply[#reply + 1] = letter
    end
  end
  return reply
end
local text = redis.call('HGET', g.letters, mid)
if not text then return 0 end
if act == 'forget' then
  redis.call('HDEL', g.letters, mid)
  redis.call('HINCRBY', g.state, '#letters', -1)
  return 1
end
local letter = cmsgpack.unpack(text)
letter[1], letter[2], letter[3] = ARGV[4], ARGV[6], ARGV[5]
redis.call('HSET', g.letters, mid, cmsgpack.pack(letter))
return 1
