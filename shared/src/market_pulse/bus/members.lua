-- Join, stay in or leave a group of members. All times are by the server's clock.
-- KEYS: 1. the sorted set of members, scored by the time at which each membership expires; 2. the hash of the group's state.
-- ARGV: 1. the member; 2. for how many milliseconds it stays a member (0: it leaves); 3. a prefix of names, or nothing.
-- With a prefix the caller yields: it is a member only while the names of all the other members begin with it, too.
-- Each change of the members gives the group a new, higher epoch, which is published on the channel named like the set.
-- Returns the epoch, for how many milliseconds the server has known the group, 1 if the caller has just become a member
-- (else 0), and all members.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local gone, joined = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms), 0
local leaves = ARGV[2] == '0'
if ARGV[3] ~= '' then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    leaves = leaves or string.sub(name, 1, #ARGV[3]) ~= ARGV[3]
  end
end
if leaves then
  gone = gone + redis.call('ZREM', KEYS[1], ARGV[1])
else
  -- All members beat with the same expiry. A later score was set before the clock was set back, so that member may be dead.
  gone = gone + redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now_ms + ARGV[2]), '+inf')
  joined = redis.call('ZADD', KEYS[1], now_ms + ARGV[2], ARGV[1])
end
local state = redis.call('HMGET', KEYS[2], 'epoch', 'since')
local epoch, since = tonumber(state[1] or 0), tonumber(state[2] or now_ms)
if gone + joined > 0 or epoch == 0 then
  -- The time in microseconds, so that epochs go on rising after the server has lost the last one.
  epoch = math.max(epoch + 1, time[1] * 1000000 + time[2])
  redis.call('HSET', KEYS[2], 'epoch', string.format('%.0f', epoch), 'since', string.format('%.0f', since))
  redis.call('PUBLISH', KEYS[1], string.format('%.0f', epoch))
end
return {epoch, now_ms - since, joined, redis.call('ZRANGE', KEYS[1], 0, -1)}
