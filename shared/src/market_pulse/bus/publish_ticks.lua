-- Publish ticks, and keep each as the last one of its channel, in one step. Ticks with nothing new are left out.
-- KEYS: `last:<channel>` per tick. ARGV: how long to keep a tick, in seconds; then channel and tick for each key.
-- Returns how many ticks were left out.
--
-- Several copies of an ingest publish the same content at slightly different moments. A tick with an "order" is new if one of
-- its numbers is higher than the last tick's and no number is lower. An order is: the trade's number, the quote's number and
-- time, the 24 h figures' number and time, and, if the exchange's numbers started again, the time of that. A number that is too
-- high must not suppress ticks for ever, hence the limits below (exchange/line.py has the same rules).
local FAR_MS = 5000 -- a tick whose time is this much later is new, whatever its numbers
local MIXED_MS = 5000 -- a tick with both higher and lower numbers is published if the channel was silent for this long
local BEHIND_MS = 60000 -- a tick with lower numbers only is published after this long: by then the source counts as stale
local QUOTE_TIME, DAY_TIME, ANEW = 3, 5, 6

local function order_of(tick)
  return type(tick) == 'string' and string.match(tick, '"order":%[([^%]]+)')
end

-- Whether a tick is its market's last one ("ended"). messages.py puts that field first.
local function is_last_word(tick)
  return type(tick) == 'string' and string.find(string.sub(tick, 1, 40), '"ended":"', 1, true) ~= nil
end

local function numbers_of(order)
  local numbers = {}
  for number in string.gmatch(order, '[^,]+') do
    numbers[#numbers + 1] = tonumber(number) or 0
  end
  return numbers
end

-- Whether a time in a tick's order is more than FAR_MS after the time at which the ingest received the tick.
local function is_from_the_future(tick, numbers)
  local received = tonumber(string.match(tick, '"receivedTime":(%d+)'))
  return received ~= nil and math.max(numbers[QUOTE_TIME] or 0, numbers[DAY_TIME] or 0) > received + FAR_MS
end

-- Judge a tick that has a lower number than the last one. Returns true if it is new. Otherwise returns false, and for how many
-- milliseconds the channel must have been silent for the tick to be published all the same.
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
  -- If the 24 h figures are old, so is the price, unless it is from a newer trade.
  local is_old_price = (numbers[DAY_TIME] or 0) < (known[DAY_TIME] or 0) - FAR_MS and (numbers[1] or 0) <= (known[1] or 0)
  return false, ahead and not is_old_price and MIXED_MS or BEHIND_MS
end

local function is_news(key, tick)
  local last = redis.pcall('GET', key)
  if is_last_word(tick) then -- published whatever its order, but only once
    return not is_last_word(last)
  end
  local order, known = order_of(tick), order_of(last)
  if not order or not known then -- there is nothing to compare
    return true
  end
  local ahead, behind = false, false
  local next_known = string.gmatch(known, '[^,]+')
  for number in string.gmatch(order, '[^,]+') do
    local other = next_known() or '-1' -- a number that the last tick does not have counts as higher
    if number ~= other then -- compared as texts first, because most numbers are the same as in the last tick
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
