-- A number that no two live servers share, for message ids (semantics b: worker id by lease, and time reserved ahead).
--
-- KEYS[1] hash: number → `owner lease-until reserved-until`, all ms; at most 1024 fields, one per number ever in use
-- ARGV[1] take | renew | free  [2] owner  [3] number (take: where to begin looking)  [4] lease ms
--   [5] the newest millisecond that ids were made for
-- Replies: {number reserved-until now}: ids of the holder begin above reserved-until (take) and are made until now + lease;
--   {} none is free (take), or it was lost (renew)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner, lease, used = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local function txt(number) return string.format('%.0f', number) end
local function read(number)
  local text = redis.call('HGET', KEYS[1], number)
  if not text then return '', 0, 0 end
  local who, until_ms, reserved = string.match(text, '^(%S+) (%d+) (%d+)$')
  return who, tonumber(until_ms), tonumber(reserved)
end
if ARGV[1] == 'take' then
  for i = 0, 1023 do
    local number = (tonumber(ARGV[3]) + i) % 1024
    local who, until_ms, reserved = read(number)
    if until_ms <= now or who == owner then
      redis.call('HSET', KEYS[1], number, owner .. ' ' .. txt(now + lease) .. ' ' .. txt(math.max(reserved, now + lease)))
      return {tostring(number), txt(reserved), txt(now)}
    end
  end
  return {}
end
local who, until_ms, reserved = read(ARGV[3])
if who ~= owner or until_ms <= now then return {} end
if ARGV[1] == 'free' then
  redis.call('HSET', KEYS[1], ARGV[3], owner .. ' 0 ' .. txt(math.max(used, now)))
else
  redis.call('HSET', KEYS[1], ARGV[3], owner .. ' ' .. txt(now + lease) .. ' ' .. txt(math.max(reserved, used, now + lease)))
end
return {ARGV[3], txt(reserved), txt(now)}
