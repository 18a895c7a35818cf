-- Publish ticks and keep each as the last one of its channel, in one step, unless they are no news.
-- KEYS: one `last:<channel>` a tick. ARGV: expiry in seconds, then channel and tick for each key.
-- Several copies of an ingest say the same, each a moment earlier or later. A tick with an "order", a list of numbers each
-- of which only rises, is news if one of them is ahead of the last tick's and none is behind. Returns how many were none.
local MIXED_MS = 5000 -- one with something ahead and something behind goes out if nothing else did for so long
local BEHIND_MS = 60000 -- and so does one that is nothing but behind: numbers may have begun anew

local function order_of(tick)
  return type(tick) == 'string' and string.match(tick, '"order":%[([^%]]+)')
end

local function is_news(key, tick)
  local order, known = order_of(tick), order_of(redis.pcall('GET', key))
  if not order or not known then -- nothing to compare, or with nothing
    return true
  end
  local ahead, behind = false, false
  local next_known = string.gmatch(known, '[^,]+')
  for number in string.gmatch(order, '[^,]+') do
    local other = next_known() or '-1' -- a list that is longer than the other counts as ahead
    if number ~= other then -- as texts; most numbers of a tick are those of the last one
      number, other = tonumber(number) or 0, tonumber(other) or 0
      ahead, behind = ahead or number > other, behind or number < other
    end
  end
  if not behind then
    return ahead
  end
  local silent_ms = ARGV[1] * 1000 - redis.call('PTTL', key)
  return silent_ms > (ahead and MIXED_MS or BEHIND_MS)
end

local suppressed = 0
for i = 1, #KEYS do
  local channel, tick = ARGV[2 * i], ARGV[2 * i + 1]
  if is_news(KEYS[i], tick) then
    redis.call('SET', KEYS[i], tick, 'EX', ARGV[1])
    redis.call('PUBLISH', channel, tick)
  else
    suppressed = suppressed + 1
  end
end
return suppressed
