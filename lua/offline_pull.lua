-- Acks the page before, by its places, and reads on behind it. Keys as in offline_append.lua.
--
-- KEYS items, order, senders, names, counts, acked
-- ARGV[1] sender ('' all) [2] items at most [3] 1: newest first [4] the place to go on behind ('' from the beginning)
--   [5] bytes at most, but for the first item [6] ms that an acked name is known; then the places to ack
-- Reply: {place msgId sender body …}. Asked again it gives the same page, and acks no more.
-- @include offline_remove
local sender, limit, newest_first, from = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local set, prefix = order, ''
if sender ~= '' then set, prefix = senders, sender .. '\0' end
-- Places are digits: all of a prefix lie below `prefix:`.
local first = newest_first and '[' .. prefix or (from == '' and '[' .. prefix or '(' .. prefix .. from)
local last = newest_first and from ~= '' and '(' .. prefix .. from or '(' .. prefix .. ':'
local found
if newest_first then
  found = redis.call('ZRANGE', set, last, first, 'BYLEX', 'REV', 'LIMIT', 0, limit)
else
  found = redis.call('ZRANGE', set, first, last, 'BYLEX', 'LIMIT', 0, limit)
end
local page, bytes = {}, 0
for i, member in ipairs(found) do
  local place = string.sub(member, #prefix + 1)
  local item = redis.call('HGET', items, place)
  bytes = bytes + #item
  if bytes > tonumber(ARGV[5]) and i > 1 then break end
  local from_whom, name, body = parts_of(item)
  for _, part in ipairs({place, name, from_whom, body}) do page[#page + 1] = part end
end
if #ARGV > 6 then
  for i = 7, #ARGV do remove(ARGV[i], tonumber(ARGV[6])) end
  forget(tonumber(ARGV[6]))
end
return page
