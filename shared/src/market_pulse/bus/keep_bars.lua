-- Keep bars (past candles) in sorted sets, in one step. The score of a bar is its start.
-- KEYS: the set of each bar. ARGV: how many bars a set keeps; its expiry in seconds; then per bar its start, its revision and its JSON.
-- A bar replaces the one with the same start, unless that one has a higher revision. So bars may come late, twice, and in any order.
-- A key of another type is skipped. Returns how many bars were kept.
local kept = 0
for i, key in ipairs(KEYS) do
  local start, revision, bar = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), ARGV[3 * i + 2]
  local found = redis.pcall('ZRANGEBYSCORE', key, start, start)
  if not found.err then
    local newest = -1
    for _, member in ipairs(found) do
      local readable, kept_bar = pcall(cjson.decode, member)
      if readable and type(kept_bar) == 'table' and type(kept_bar[9]) == 'number' then -- its revision
        newest = math.max(newest, kept_bar[9])
      end
    end
    if revision >= newest and found[1] ~= bar then
      redis.call('ZREMRANGEBYSCORE', key, start, start)
      redis.call('ZADD', key, start, bar)
      redis.call('ZREMRANGEBYRANK', key, 0, -1 - ARGV[1])
      kept = kept + 1
    end
    redis.call('EXPIRE', key, ARGV[2])
  elseif not found.err:find('WRONGTYPE', 1, true) then
    return found -- any other error is not about this key: Redis cannot write
  end
end
return kept
