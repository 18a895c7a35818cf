-- Publish candles across exchanges, each merged with other copies' of the same start, in one step.
-- KEYS per candle: `last:<channel>`; `last:<channel>:previous`, the candle before that one; the set of bars.
-- ARGV: how long to keep a last message, and a set of bars, in seconds; how many bars a set keeps; then per candle its channel and JSON.
--
-- Of two messages of one start the one with the higher revision counts. Of equal revisions the result has the open of the smaller
-- firstSeq, the highest high, the lowest low, the close of the larger lastSeq, and the volumes of the one with more exchanges (of
-- equal numbers: the later). A closed candle that changes gets the next revision. Nothing that is kept goes back in start, lastSeq
-- or revision. A message that changes nothing is not published. A closed candle is also kept as a bar.
-- An open candle that is older than the newest one is left out. A closed one is published all the same.
-- Returns, per candle, the candle as it is now known, if it is another than the given one.
local FUTURE_MS = 5000 -- a candle that starts later than this was dated by a wrong clock, and must not keep out the others

local function raw(message, name)
  return string.match(message, '"' .. name .. '":(%b[])') or string.match(message, '"' .. name .. '":([^,}]+)')
end

local function number(message, name)
  return tonumber(raw(message, name) or '')
end

local function put(message, name, value)
  local from, to = string.find(message, '"' .. name .. '":%b[]')
  if not from then
    from, to = string.find(message, '"' .. name .. '":[^,}]+')
  end
  return from and string.sub(message, 1, from - 1) .. '"' .. name .. '":' .. value .. string.sub(message, to + 1) or message
end

-- A kept message with all numbers that a merge needs, or nil.
local function candle_in(key)
  local message = redis.pcall('GET', key)
  if type(message) ~= 'string' then
    return nil
  end
  for _, name in ipairs({'start', 'open', 'high', 'low', 'close', 'revision'}) do
    if not number(message, name) then
      return nil
    end
  end
  return message
end

local function exchanges_in(message)
  return select(2, string.gsub(raw(message, 'exchanges') or '', '"[^"]+"', ''))
end

local CONTENT = {'open', 'high', 'low', 'close', 'volume', 'quoteVolume', 'trades', 'buyVolume', 'origin', 'exchanges',
  'firstSeq', 'lastSeq', 'missed', 'closed'}

local function differs(one, other)
  for _, name in ipairs(CONTENT) do
    if raw(one, name) ~= raw(other, name) then
      return true
    end
  end
  return false
end

local function copy(to, from, ...)
  for _, name in ipairs({...}) do
    to = put(to, name, raw(from, name) or 'null')
  end
  return to
end

-- How many of a message's tickers from firstSeq to lastSeq its copy has not seen.
local function unseen_in(message)
  local first, last = number(message, 'firstSeq'), number(message, 'lastSeq')
  return first and last and math.max(0, last - first + 1 - (number(message, 'seen') or 0)) or 0
end

-- How many tickers a message lacks before firstSeq or after lastSeq. The rest of `missed` is those between.
local function lacking_in(message)
  return math.max(0, (number(message, 'missed') or 0) - unseen_in(message))
end

-- How many tickers the result of a merge lacks at its ends: what the one with the beginning lacks. If both begin alike, a closed one
-- knows better what the end lacks.
local function lacking_of(new, known)
  local first, known_first = number(new, 'firstSeq'), number(known, 'firstSeq')
  if not first or not known_first or first ~= known_first then
    return lacking_in((first or math.huge) < (known_first or math.huge) and new or known)
  end
  if raw(new, 'closed') == raw(known, 'closed') then
    return math.min(lacking_in(new), lacking_in(known))
  end
  return lacking_in(raw(new, 'closed') == 'true' and new or known)
end

-- Merge two messages of one start and one revision.
local function merged(new, known)
  local result = new
  local first, known_first = number(new, 'firstSeq'), number(known, 'firstSeq')
  local last, known_last = number(new, 'lastSeq'), number(known, 'lastSeq')
  if known_first and (not first or known_first < first) then
    result = copy(result, known, 'open', 'firstSeq', 'origin')
  end
  if known_last and (not last or known_last > last) then
    result = copy(result, known, 'close', 'lastSeq', 'receivedTime')
  end
  if first and known_first then
    if number(known, 'high') > number(new, 'high') then
      result = copy(result, known, 'high')
    end
    if number(known, 'low') < number(new, 'low') then
      result = copy(result, known, 'low')
    end
  end
  if (number(known, 'seen') or 0) > (number(new, 'seen') or 0) then
    result = copy(result, known, 'seen')
  end
  if number(result, 'firstSeq') and number(result, 'lastSeq') then
    result = put(result, 'missed', string.format('%.0f', unseen_in(result) + lacking_of(new, known)))
  end
  local is_closed = raw(known, 'closed') == 'true'
  local fewer = exchanges_in(new) < exchanges_in(known)
  if fewer or (is_closed and raw(new, 'closed') ~= 'true') then
    result = copy(result, known, 'volume', 'quoteVolume', 'vwap', 'trades', 'buyVolume', 'exchanges')
  end
  if is_closed then
    result = put(result, 'closed', 'true')
    if differs(result, known) then
      result = put(result, 'revision', string.format('%.0f', number(known, 'revision') + 1))
    end
  end
  return result
end

local function missed_in(message)
  return raw(message, 'origin') == '"live"' and raw(message, 'missed') or 'null'
end

local function bar_of(message)
  local values = {}
  for at, name in ipairs({'start', 'open', 'high', 'low', 'close', 'volume', 'quoteVolume', 'trades', 'revision'}) do
    values[at] = raw(message, name) or 'null'
  end
  values[10] = missed_in(message)
  return '[' .. table.concat(values, ',') .. ']'
end

-- The bar of a start as a table, or nil. The second value is false if the key holds another type.
local function bar_in(key, start)
  local found = redis.pcall('ZRANGEBYSCORE', key, start, start)
  if found.err then
    return nil, false
  end
  local readable, bar = pcall(cjson.decode, found[1] or '')
  return readable and type(bar) == 'table' and type(bar[9]) == 'number' and bar or nil, true
end

-- Decide about a closed candle of which only the bar is left. Returns it with its revision, or nil if the bar stays.
local function against_bar(new, bar)
  local revision = number(new, 'revision')
  if revision ~= bar[9] then
    return revision > bar[9] and new or nil
  end
  local missed = tonumber(missed_in(new))
  if not missed or (type(bar[10]) == 'number' and bar[10] <= missed) then
    return nil
  end
  return put(new, 'revision', string.format('%.0f', revision + 1))
end

local function keep_bar(key, message)
  local start = raw(message, 'start')
  redis.call('ZREMRANGEBYSCORE', key, start, start)
  redis.call('ZADD', key, start, bar_of(message))
  redis.call('ZREMRANGEBYRANK', key, 0, -1 - ARGV[3])
  redis.call('EXPIRE', key, ARGV[2])
end

local time = redis.call('TIME')
local latest_ms = time[1] * 1000 + math.floor(time[2] / 1000) + FUTURE_MS
local answer = {}
for i = 1, #KEYS / 3 do
  local last_key, previous_key, bars_key = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local channel, new = ARGV[2 * i + 2], ARGV[2 * i + 3]
  local start, is_closed = number(new, 'start'), raw(new, 'closed') == 'true'
  local last, previous = candle_in(last_key), candle_in(previous_key)
  if last and number(last, 'start') > math.max(latest_ms, start) then
    last, previous = nil, nil
  end

  local slot, known = last_key, last
  if last and number(last, 'start') > start then
    slot, known = previous_key, previous
    if previous and number(previous, 'start') > start then
      slot, known = nil, nil
    end
  end
  if known and number(known, 'start') < start then
    known = nil
  end

  local result = new
  if known then
    local revision, kept = number(new, 'revision'), number(known, 'revision')
    if revision == kept then
      result = merged(new, known)
    elseif revision < kept then
      result = known
    end
    if not differs(result, known) and number(result, 'revision') == kept then
      result = nil
    end
  end
  if result and slot ~= last_key and not is_closed then
    result = nil -- its own copy is about to close it, with all that it knows
  end
  local is_set = true
  if result and raw(result, 'closed') == 'true' then
    local bar
    bar, is_set = bar_in(bars_key, raw(result, 'start'))
    if bar and not known then
      result = against_bar(result, bar)
    end
  end

  if result then
    if slot == last_key and last and number(last, 'start') < start then
      redis.call('SET', previous_key, last, 'EX', ARGV[1])
    end
    if slot then
      redis.call('SET', slot, result, 'EX', ARGV[1])
    end
    if is_set and raw(result, 'closed') == 'true' then
      keep_bar(bars_key, result)
    end
    redis.call('PUBLISH', channel, result)
  end
  local now_known = result or known
  answer[i] = now_known and now_known ~= new and now_known or false
end
return answer
