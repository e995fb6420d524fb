-- One act on a claim: claim, renew, commit, release (semantics a-2; the articles' token, made safe). While a claim is held
-- nobody else gets one; a crash frees it when its lease runs out; a commit keeps the result for every later claim; a late
-- owner is fenced. The caller's own store must check the fence, or hold a unique key: no script can span its transaction.
--
-- KEYS[1] the record, a hash {st, ow, fe, lu, fp, at, re}, which expires as a whole: st I issued, C claimed, D done,
--   F failed; ow owner, fe fence, lu lease until (ms), fp fingerprint, at attempts, re result or reason
-- KEYS[2] the newest fence of all records of the slot, which outlives them. A fence is the time in microseconds, or one
--   more than the newest: so it rises although a failover may have lost the newest ones
-- ARGV[1] claim | renew | commit | release | fail
-- ARGV[2] owner, new for every attempt
-- claim:   ARGV[3] lease ms, [4] fingerprint ('' none), [5] most attempts (0: any number), [6] ms that an unfinished record
--          outlives its lease, [7] 1: only what was issued
-- renew:   ARGV[3] fence, [4] lease ms
-- commit:  ARGV[3] fence, [4] result, [5] ms that it is kept
-- release: ARGV[3] fence, [4] ms that the attempts are remembered at least (the next claim goes on at once)
-- fail:    ARGV[3] fence, [4] reason, [5] ms that it is kept
-- Replies, always five texts {word fence attempt ms text}, '0' and '' where there is none:
--   ACQUIRED, TAKEOVER, HELD (fence, attempt), BUSY (fence, ms left), DONE (result), FAILED (reason), EXHAUSTED (once,
--   FAILED with the reason `exhausted` from then on), MISMATCH, UNKNOWN, RENEWED, COMMITTED, ALREADY (result),
--   FENCED (the fence that counts; the result where it is done), GONE, RELEASED
-- Numbers stay texts or below 2^53; time is Redis's own.
local record, counter = KEYS[1], KEYS[2]
local act, owner = ARGV[1], ARGV[2]
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local now = math.floor(now_us / 1000)
local function text(number) return string.format('%.0f', number) end

local found = redis.call('HMGET', record, 'st', 'ow', 'fe', 'lu', 'fp', 'at', 're')
local state, held_by, fence = found[1], found[2], found[3] or '0'
local lease_until, attempts = tonumber(found[4] or '0'), tonumber(found[6] or '0')
local fingerprint, result = found[5] or '', found[7] or ''
local function told(word, about) return {word, fence, text(attempts), '0', about or ''} end

if act == 'claim' then
  local lease, offered, most, keep = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  if not state and ARGV[7] == '1' then return told('UNKNOWN') end
  if state and fingerprint ~= '' and offered ~= '' and fingerprint ~= offered then return told('MISMATCH') end
  if state == 'D' then return told('DONE', result) end
  if state == 'F' then return told('FAILED', result) end
  if state == 'C' and lease_until > now then
    if held_by == owner then return told('HELD') end
    return {'BUSY', fence, text(attempts), text(lease_until - now), ''}
  end
  if most ~= 0 and attempts >= most then
    redis.call('HSET', record, 'st', 'F', 're', 'exhausted')
    redis.call('HDEL', record, 'ow', 'lu')
    redis.call('PEXPIRE', record, keep)
    return told('EXHAUSTED', 'exhausted')
  end
  fence = text(math.max(tonumber(redis.call('GET', counter) or '0') + 1, now_us))
  attempts = attempts + 1
  redis.call('SET', counter, fence)
  redis.call('HSET', record, 'st', 'C', 'ow', owner, 'fe', fence, 'lu', text(now + lease), 'at', text(attempts))
  redis.call('HDEL', record, 're')
  if offered ~= '' then redis.call('HSET', record, 'fp', offered) end
  redis.call('PEXPIRE', record, text(lease + keep))
  return told(state == 'C' and 'TAKEOVER' or 'ACQUIRED')
end

if not state then return told('GONE') end
if act == 'commit' and state == 'D' and fence == ARGV[3] then return told('ALREADY', result) end
if state ~= 'C' or held_by ~= owner or fence ~= ARGV[3] then
  return told('FENCED', state == 'D' and result or '')
end
if act == 'renew' then
  local keep = math.max(0, redis.call('PTTL', record) - (lease_until - now))
  redis.call('HSET', record, 'lu', text(now + tonumber(ARGV[4])))
  redis.call('PEXPIRE', record, text(tonumber(ARGV[4]) + keep))
  return told('RENEWED')
end
if act == 'commit' then
  redis.call('HSET', record, 'st', 'D', 're', ARGV[4])
  redis.call('HDEL', record, 'ow', 'lu')
  redis.call('PEXPIRE', record, ARGV[5])
  return told('COMMITTED')
end
if act == 'release' then
  redis.call('HSET', record, 'st', 'I')
  redis.call('HDEL', record, 'ow', 'lu')
  if redis.call('PTTL', record) < tonumber(ARGV[4]) then redis.call('PEXPIRE', record, ARGV[4]) end
  return told('RELEASED')
end
if act == 'fail' then
  redis.call('HSET', record, 'st', 'F', 're', ARGV[4])
  redis.call('HDEL', record, 'ow', 'lu')
  redis.call('PEXPIRE', record, ARGV[5])
  return told('RELEASED')
end
return redis.error_reply('EVERYONCE no such act')
