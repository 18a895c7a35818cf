-- Be, stay or cease to be a member of a group, by the server's clock.
-- KEYS: the set of members, each with the time at which it ceases to be one; the hash of the group's state. ARGV: the member,
-- for how many milliseconds it stays one (0: it leaves), and a prefix of names, or nothing. With a prefix the caller yields: it is
-- a member only while the names of all the others begin so, too.
-- With each change of the members the group has a new epoch, never an earlier one again, and says so on the channel that is
-- named as the set. Returns the epoch, for how many milliseconds the server has known the group, whether the member is new to
-- it (1) or was one already (0), and the members.
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
  -- All stay members for equally long: who is one for longer has beaten before the clock was set back, and may be dead.
  gone = gone + redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now_ms + ARGV[2]), '+inf')
  joined = redis.call('ZADD', KEYS[1], now_ms + ARGV[2], ARGV[1])
end
local state = redis.call('HMGET', KEYS[2], 'epoch', 'since')
local epoch, since = tonumber(state[1] or 0), tonumber(state[2] or now_ms)
if gone + joined > 0 or epoch == 0 then
  epoch = math.max(epoch + 1, time[1] * 1000000 + time[2]) -- the time, so that it goes on after the server has lost it
  redis.call('HSET', KEYS[2], 'epoch', string.format('%.0f', epoch), 'since', string.format('%.0f', since))
  redis.call('PUBLISH', KEYS[1], string.format('%.0f', epoch))
end
return {epoch, now_ms - since, joined, redis.call('ZRANGE', KEYS[1], 0, -1)}
