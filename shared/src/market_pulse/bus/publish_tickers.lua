-- Number, keep and publish tickers in one step, if the group's members are still those that the publisher knows.
-- KEYS: the hash of the group's state; the sorted set of members; then `seq:<symbol>` and `last:ticker:<symbol>` per ticker.
-- ARGV: how long to keep a ticker, in seconds; the epoch that the publisher knows (empty: it is in no group); then per ticker
-- the channel, the message before its number, the message after it, and the highest number that the publisher knows of.
-- If Redis has lost its own counter (a restart), counting goes on from the number that the publisher knows. If that is unknown
-- too, a publisher in a group starts at the Unix time in milliseconds.
-- Returns each ticker's number and count of receivers. Returns nothing, and publishes nothing, if the epoch is another one, or
-- if a membership has expired, because the epoch is then about to change. This also rejects calls that waited in this server
-- while it was frozen.
local now_ms
if ARGV[2] ~= '' then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] or redis.call('ZCOUNT', KEYS[2], '-inf', now_ms) > 0 then
    return false
  end
end
local answer = {}
for i = 1, #KEYS / 2 - 1 do
  local seq_key, last_key = KEYS[2 * i + 1], KEYS[2 * i + 2]
  local channel, head, tail, known = ARGV[4 * i - 1], ARGV[4 * i], ARGV[4 * i + 1], tonumber(ARGV[4 * i + 2])
  local seq = redis.pcall('INCR', seq_key)
  if type(seq) == 'table' or seq <= known then -- a table is an error: the key holds no number
    seq = known + 1
    redis.call('SET', seq_key, string.format('%d', seq))
  elseif seq == 1 and now_ms then
    -- Neither Redis nor the publisher knows the last number. No symbol has a ticker each millisecond, so this is higher.
    seq = now_ms
    redis.call('SET', seq_key, string.format('%d', seq))
  end
  local message = head .. string.format('%d', seq) .. tail
  redis.call('SET', last_key, message, 'EX', ARGV[1])
  answer[2 * i - 1] = seq
  answer[2 * i] = redis.call('PUBLISH', channel, message)
end
return answer
