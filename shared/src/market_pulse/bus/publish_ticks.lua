-- Publish ticks and keep each as the last one of its channel, in one step, unless they are no news.
-- KEYS: one `last:<channel>` a tick. ARGV: expiry in seconds, then channel and tick for each key. Returns how many ticks were
-- no news.
--
-- Several copies of an ingest say the same, each a moment earlier or later. A tick with an "order" is news if one of its numbers
-- is ahead of the last tick's and none is behind. An order is: trade, number of the quote, its time, number of the 24 h figures,
-- their time, and, if numbers began anew, when. No number is believed for ever (exchange/line.py has the same rules).
local FAR_MS = 5000 -- what happened so much later is news, whatever its numbers
local MIXED_MS = 5000 -- a tick with something ahead and something behind goes out if nothing else did for so long
local BEHIND_MS = 60000 -- and so does one that is behind only: the source counts as stale by then
local QUOTE_TIME, DAY_TIME, ANEW = 3, 5, 6

local function order_of(tick)
  return type(tick) == 'string' and string.match(tick, '"order":%[([^%]]+)')
end

local function is_last_word(tick)
  return type(tick) == 'string' and string.find(string.sub(tick, 1, 40), '"ended":"', 1, true) ~= nil -- messages.py puts it first
end

local function numbers_of(order)
  local numbers = {}
  for number in string.gmatch(order, '[^,]+') do
    numbers[#numbers + 1] = tonumber(number) or 0
  end
  return numbers
end

-- Whether a time of an order lies ahead of the clock by which the tick was received.
local function is_from_the_future(tick, numbers)
  local received = tonumber(string.match(tick, '"receivedTime":(%d+)'))
  return received ~= nil and math.max(numbers[QUOTE_TIME] or 0, numbers[DAY_TIME] or 0) > received + FAR_MS
end

-- Judge a tick that is behind in something. Returns whether it is news, or for how long nothing must have gone out.
local function judge(tick, order, known_tick, known_order, ahead)
  local numbers, known = numbers_of(order), numbers_of(known_order)
  local far_ahead, far_behind = false, false
  for _, at in ipairs({QUOTE_TIME, DAY_TIME}) do
    local time, other = numbers[at] or 0, known[at] or 0
    if time > 0 and other > 0 then
      far_ahead, far_behind = far_ahead or time > other + FAR_MS, far_behind or time < other - FAR_MS
    end
  end
  if not far_behind and (far_ahead or (numbers[ANEW] or 0) > (known[ANEW] or 0)) then
    return true
  end
  if is_from_the_future(known_tick, known) and not is_from_the_future(tick, numbers) then
    return true
  end
  -- Old 24 h figures are an old price, unless a newer trade has told it.
  local is_old_price = (numbers[DAY_TIME] or 0) < (known[DAY_TIME] or 0) - FAR_MS and (numbers[1] or 0) <= (known[1] or 0)
  return false, ahead and not is_old_price and MIXED_MS or BEHIND_MS
end

local function is_news(key, tick)
  local last = redis.pcall('GET', key)
  if is_last_word(tick) then -- it counts whatever its order; once is enough
    return not is_last_word(last)
  end
  local order, known = order_of(tick), order_of(last)
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
  if not behind and next_known() == nil then
    return ahead
  end
  local news, silent_ms = judge(tick, order, last, known, ahead)
  return news or ARGV[1] * 1000 - redis.call('PTTL', key) > silent_ms
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
