-- Number, keep and publish tickers, in one step, if their publisher knows who its group's members are.
-- KEYS: the hash of the group's state and the set of its members, then `seq:<symbol>` and `last:ticker:<symbol>` a ticker. ARGV:
-- expiry in seconds, the epoch in which the publisher believes to be (empty: it is in no group), then for each ticker the
-- channel, the message before and after the number, and the highest number that the publisher knows of: should Redis have lost
-- its own (a restart), counting goes on from there; a group's begins with the time in milliseconds. Returns number and count of receivers for each ticker, or nothing if the
-- epoch is another, or over because a member's time is: so nothing goes out that waited here while the server was frozen.
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
  if type(seq) == 'table' or seq <= known then -- a table is an error: the counter is broken
    seq = known + 1
    redis.call('SET', seq_key, string.format('%d', seq))
  elseif seq == 1 and now_ms then -- nobody here knows how far was counted: not as far as this, at one a millisecond at most
    seq = now_ms
    redis.call('SET', seq_key, string.format('%d', seq))
  end
  local message = head .. string.format('%d', seq) .. tail
  redis.call('SET', last_key, message, 'EX', ARGV[1])
  answer[2 * i - 1] = seq
  answer[2 * i] = redis.call('PUBLISH', channel, message)
end
return answer
