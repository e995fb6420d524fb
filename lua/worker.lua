-- The worker numbers of snowflake ids, leased with an expiry and a fence (semantics b). Beside each stands up to which
-- millisecond ids may have been made under it: who gets the number next begins above that, whatever its clock says.
-- Where the end of what was written may be lost (another replication id), every number that is known counts as leased for
-- one more lease, and nobody begins below Redis's own clock.
--
-- KEYS[1] hash: number → `owner fence lease-ms lease-until used-until reserved-until generation`; at most 1024 of them;
--   f the newest fence; g `replication-id generation`. All times Unix ms; owner - where it was given back
-- ARGV[1] lease | renew | release  [2] owner
-- lease:   ARGV[3] lease ms  [4] ms that ids may run ahead of the clock
-- renew:   ARGV[3] number  [4] fence  [5] lease ms  [6] up to which millisecond ids may be made
-- release: ARGV[3] number  [4] fence  [5] up to which millisecond ids were made
-- Replies: {OK number fence used-until reserved-until} (lease; the same owner is told the same), {FULL ms until one comes
--   free}, {HELD}, {LOST} it is another's
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local now = math.floor(now_us / 1000)
local function text(number) return string.format('%.0f', number) end

local rid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local known, generation = string.match(redis.call('HGET', KEYS[1], 'g') or (rid .. ' 0'), '^(%w+) (%d+)$')
generation = tonumber(generation)
if known ~= rid then generation = generation + 1 end

local function read(stored)
  if not stored then return nil end
  local r, g = {}, ''
  r.owner, r.fence, r.lease, r.lease_until, r.used, r.reserved, g =
    string.match(stored, '^(%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  for _, name in ipairs({'lease', 'lease_until', 'used', 'reserved'}) do r[name] = tonumber(r[name]) end
  if tonumber(g) ~= generation then
    r.lease_until = math.max(r.lease_until, now + r.lease)
    r.reserved = math.max(r.reserved, r.lease_until)
  end
  return r
end
local function write(number, r)
  local parts = {r.owner, r.fence, text(r.lease), text(r.lease_until), text(r.used), text(r.reserved), text(generation)}
  redis.call('HSET', KEYS[1], number, table.concat(parts, ' '), 'g', rid .. ' ' .. text(generation))
end
local function all_records()
  local all, records = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    if tonumber(all[i]) then records[all[i]] = read(all[i + 1]) end
  end
  return records
end
-- All at once: each record's generation tells whether the tail was lost since it was written.
if known ~= rid then
  for number, r in pairs(all_records()) do write(number, r) end
end

if ARGV[1] == 'lease' then
  local owner, lease, reserve = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
  local records = all_records()
  local best, best_used, retry = nil, math.huge, math.huge
  -- The first that may be used at once; else, where the clock has gone back, the one that has to wait least.
  for i = 0, 1023 do
    local number = text(i)
    local r = records[number]
    if r and r.lease_until > now then
      if r.owner == owner then return {'OK', number, r.fence, text(r.used), text(r.reserved)} end
      retry = math.min(retry, r.lease_until - now)
    else
      local used = r and r.reserved or (generation > 0 and now + reserve or 0)
      if used < best_used then best, best_used = number, used end
      if best_used <= now then break end
    end
  end
  if not best then return {'FULL', text(retry)} end
  local fence = text(math.max(tonumber(redis.call('HGET', KEYS[1], 'f') or '0') + 1, now_us))
  redis.call('HSET', KEYS[1], 'f', fence)
  local reserved = math.max(now, best_used) + reserve
  write(best, {owner = owner, fence = fence, lease = lease, lease_until = now + lease, used = best_used, reserved = reserved})
  return {'OK', best, fence, text(best_used), text(reserved)}
end

local r = read(redis.call('HGET', KEYS[1], ARGV[3]))
if not r or r.owner ~= ARGV[2] or r.fence ~= ARGV[4] then return {'LOST'} end
if ARGV[1] == 'renew' then
  r.lease, r.lease_until = tonumber(ARGV[5]), now + tonumber(ARGV[5])
  r.reserved = math.max(r.reserved, tonumber(ARGV[6]))
else
  r.lease_until, r.reserved, r.owner = math.min(r.lease_until, now), math.min(r.reserved, tonumber(ARGV[5])), '-'
end
write(ARGV[3], r)
return {'HELD'}
