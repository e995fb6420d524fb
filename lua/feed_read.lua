-- Messages of one conversation for who holds it, each with the epoch that it was numbered in. Writes nothing.
--
-- KEYS[1] meta  [2] log
-- ARGV[1] behind this seq  [2] up to this one  [3] messages  [4] bytes; one message always goes in  [5] bytes of the
--   conversation's name
-- Replies: {{seq epoch mid from device n id type body at}…}
-- @include conversation
local c = load_conversation(KEYS[1], KEYS[2], '', false)
local left, bytes_left, name_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local from, to = txt(tonumber(ARGV[1]) + 1) .. '-0', txt(math.min(tonumber(ARGV[2]), c.head)) .. '-0'
local reply = {}
for _, entry in ipairs(left > 0 and redis.call('XRANGE', c.log, from, to, 'COUNT', left) or {}) do
  local seq, r = tonumber(string.match(entry[1], '^%d+')), record_of(entry[2])
  local bytes = 192 + name_bytes + #r.f + #r.d + #r.i + #r.t + #r.b
  if bytes > bytes_left and #reply > 0 then break end
  bytes_left = math.max(0, bytes_left - bytes)
  reply[#reply + 1] = {txt(seq), txt(epoch_of(c, seq)), r.m, r.f, r.d, r.n, r.i, r.t, r.b, r.a}
end
return reply
