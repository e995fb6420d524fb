-- Forgets a consumer group in one partition: it holds the log no longer.
--
-- KEYS[1] groups  [2] feed  [3] state  [4] news  [5] held  [6] letters (see shared/feed.lua)
-- ARGV[1] group
-- Replies: OK
-- @include conversation
-- @include feed
redis.call('HDEL', g.groups, g.name)
redis.call('UNLINK', g.state, g.news, g.held, g.letters)
if redis.call('EXISTS', g.groups) == 0 then redis.call('UNLINK', g.feed) end
return 'OK'
