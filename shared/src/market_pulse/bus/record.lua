-- Add a point to each of many histories, in one step.
-- KEYS: `history:<resolution>:<symbol>` per point. ARGV: how many points a history keeps; its expiry in seconds; the entries,
-- in the order of KEYS, as a JSON array of arrays with id, fields and values. They are one argument because that costs the
-- client far less processor time than many. If a history has a point of the same time or later, another copy of the aggregator
-- wrote it, and this one is skipped. A key of another type is skipped, too. Returns how many points were added.
local AHEAD_MS = 5000 -- two correct clocks never differ by more

-- The ids of a stream only rise, so points that a wrong clock has dated in the future would keep out all others until then.
-- This deletes the points that are more than AHEAD_MS later than both the server's clock and the new point, and writes the
-- others again. Returns whether there were such points.
local function drops_future(key, entry)
  local time = redis.call('TIME')
  local latest_ms = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(string.match(entry[1], '^%d+'))) + AHEAD_MS
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not newest or tonumber(string.match(newest[1], '^%d+')) <= latest_ms then
    return false
  end
  local kept = redis.call('XRANGE', key, '-', string.format('%.0f', latest_ms))
  redis.call('DEL', key)
  for _, point in ipairs(kept) do
    redis.call('XADD', key, point[1], unpack(point[2]))
  end
  return true
end

local written = 0
for i, entry in ipairs(cjson.decode(ARGV[3])) do
  local answer = redis.pcall('XADD', KEYS[i], 'MAXLEN', '=', ARGV[1], unpack(entry))
  if type(answer) == 'table' and answer.err:find('equal or smaller', 1, true) and drops_future(KEYS[i], entry) then
    answer = redis.pcall('XADD', KEYS[i], 'MAXLEN', '=', ARGV[1], unpack(entry))
  end
  if type(answer) == 'string' then
    redis.call('EXPIRE', KEYS[i], ARGV[2])
    written = written + 1
  elseif not (answer.err:find('equal or smaller', 1, true) or answer.err:find('WRONGTYPE', 1, true)) then
    return answer -- any other error is not about this point: Redis cannot write
  end
end
return written
