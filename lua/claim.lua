-- One act of an effect outside Redis: claim, renew, commit, release (semantics a-2; the articles' token, made safe).
-- While a claim is held nobody else gets one; a crash frees it when its lease runs out; a commit keeps the result for
-- every later claim; a late owner is fenced. The caller's own store must check the fence, or hold a unique key: no script
-- can span its transaction.
--
-- KEYS[1] the record, a hash {st, ow, fe, lu, fp, at, re}; it expires as a whole
-- KEYS[2] the counter of fences, which outlives the record; both in one slot
-- ARGV[1] claim | renew | commit | release | fail | issue
-- ARGV[2] owner, new for every attempt
-- claim:   ARGV[3] lease ms, [4] fingerprint ('' none), [5] most attempts, [6] ms that an unfinished record is kept,
--          [7] 1: only what was issued
-- renew:   ARGV[3] fence, [4] lease ms
-- commit:  ARGV[3] fence, [4] result, [5] ms that it is kept
-- release: ARGV[3] fence (the next claim goes on at once)
-- fail:    ARGV[3] fence, [4] reason, [5] ms that it is kept
-- issue:   ARGV[3] ms until an unused one expires
-- Replies, always an array of texts: {ACQUIRED fence attempt} {TAKEOVER fence attempt} {HELD fence attempt}
--   {BUSY fence ms-left} {DONE fence result} {FAILED fence reason} {EXHAUSTED fence} {MISMATCH} {UNKNOWN} {RENEWED}
--   {COMMITTED} {ALREADY result} {FENCED fence result} {GONE} {RELEASED} {ISSUED} {EXISTS}
-- Numbers stay texts or below 2^53; time is Redis's own.
local record, counter = KEYS[1], KEYS[2]
local act, owner = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function text(number) return string.format('%.0f', number) end

local found = redis.call('HMGET', record, 'st', 'ow', 'fe', 'lu', 'fp', 'at', 're')
local state, held_by, fence = found[1], found[2], found[3] or '0'
local lease_until, attempts = tonumber(found[4] or '0'), tonumber(found[6] or '0')
local fingerprint, result = found[5] or '', found[7] or ''

if act == 'issue' then
  if state then return {'EXISTS'} end
  redis.call('HSET', record, 'st', 'I', 'at', '0')
  redis.call('PEXPIRE', record, ARGV[3])
  return {'ISSUED'}
end

if act == 'claim' then
  local lease, offered, most, keep = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  if not state and ARGV[7] == '1' then return {'UNKNOWN'} end
  if state and fingerprint ~= '' and offered ~= '' and fingerprint ~= offered then return {'MISMATCH'} end
  if state == 'D' then return {'DONE', fence, result} end
  if state == 'F' then
    if result == 'exhausted' then return {'EXHAUSTED', fence} end
    return {'FAILED', fence, result}
  end
  if state == 'C' and lease_until > now then
    if held_by == owner then return {'HELD', fence, text(attempts)} end
    return {'BUSY', fence, text(lease_until - now)}
  end
  if attempts + 1 > most then
    redis.call('HSET', record, 'st', 'F', 're', 'exhausted')
    redis.call('PEXPIRE', record, keep)
    return {'EXHAUSTED', fence}
  end
  redis.call('INCR', counter)
  fence = redis.call('GET', counter)
  redis.call('HSET', record, 'st', 'C', 'ow', owner, 'fe', fence, 'lu', text(now + lease), 'at', text(attempts + 1))
  if offered ~= '' then redis.call('HSET', record, 'fp', offered) end
  redis.call('PEXPIRE', record, math.max(keep, lease))
  return {state == 'C' and 'TAKEOVER' or 'ACQUIRED', fence, text(attempts + 1)}
end

local mine = state == 'C' and held_by == owner and fence == ARGV[3]
if act == 'renew' then
  if not state then return {'GONE'} end
  if not mine then return {'FENCED', fence, result} end
  redis.call('HSET', record, 'lu', text(now + tonumber(ARGV[4])))
  if redis.call('PTTL', record) < tonumber(ARGV[4]) then redis.call('PEXPIRE', record, ARGV[4]) end
  return {'RENEWED'}
end
if not state then return {'GONE'} end
if act == 'commit' then
  if state == 'D' and fence == ARGV[3] then return {'ALREADY', result} end
  if not mine then return {'FENCED', fence, result} end
  redis.call('HSET', record, 'st', 'D', 're', ARGV[4])
  redis.call('HDEL', record, 'ow', 'lu')
  redis.call('PEXPIRE', record, ARGV[5])
  return {'COMMITTED'}
end
if not mine then return {'FENCED', fence, result} end
if act == 'release' then
  redis.call('HSET', record, 'st', 'I', 'lu', '0')
  return {'RELEASED'}
end
if act == 'fail' then
  redis.call('HSET', record, 'st', 'F', 're', ARGV[4])
  redis.call('PEXPIRE', record, ARGV[5])
  return {'RELEASED'}
end
return redis.error_reply('EVERYONCE no such act')
