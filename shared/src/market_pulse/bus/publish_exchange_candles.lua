-- Publish an exchange's candles, keep the newest as the last one of its channel and the closed ones as bars, in one step.
-- KEYS: per candle `last:<channel>` and its set of bars. ARGV: how long to keep a last candle, in seconds; how many bars a set
-- keeps; its expiry in seconds; then per candle its channel, start, revision, volume, bar (empty while it is open) and message.
-- Returns how many candles were published.
--
-- Several copies of an ingest, and one that starts again, find the same candles. An open one is published if it does not go back
-- in (start, volume), adds to the volume, and its minute is not closed. A closed one is published if its set has no bar of that start with the same or
-- a higher revision. A correction of an earlier minute is published, and does not replace the last candle.
local function number(text, name)
  return tonumber(string.match(text, '"' .. name .. '":([%d.e+-]+)'))
end

local published = 0
for i = 1, #KEYS / 2 do
  local last_key, bars_key, at = KEYS[2 * i - 1], KEYS[2 * i], 6 * i - 2
  local channel, bar, message = ARGV[at], ARGV[at + 4], ARGV[at + 5]
  local start, revision, volume = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local last = redis.pcall('GET', last_key)
  last = type(last) == 'string' and last or ''
  local last_start = number(last, 'start') or -1
  local is_news = start >= last_start
  if bar == '' then
    if start == last_start then
      local is_closed = string.find(last, '"closed":true', 1, true) ~= nil
      is_news = not is_closed and (volume == nil or volume > (number(last, 'volume') or 0))
    end
  else
    local newest = -1
    local found = redis.pcall('ZRANGEBYSCORE', bars_key, start, start)
    for _, member in ipairs(found.err and {} or found) do
      local readable, known = pcall(cjson.decode, member)
      if readable and type(known) == 'table' and type(known[9]) == 'number' then -- its revision
        newest = math.max(newest, known[9])
      end
    end
    is_news = revision > newest
    if is_news and not found.err then
      redis.call('ZREMRANGEBYSCORE', bars_key, start, start)
      redis.call('ZADD', bars_key, start, bar)
      redis.call('ZREMRANGEBYRANK', bars_key, 0, -1 - ARGV[2])
      redis.call('EXPIRE', bars_key, ARGV[3])
    end
  end
  if is_news then
    if start >= last_start then
      redis.call('SET', last_key, message, 'EX', ARGV[1])
    end
    redis.call('PUBLISH', channel, message)
    published = published + 1
  end
end
return published
