-- Number, keep and publish tickers, in one step.
-- KEYS: `seq:<symbol>` and `last:ticker:<symbol>` a ticker. ARGV: expiry in seconds, then for each ticker the channel, the
-- message before and after the number, and the highest number that the publisher knows of: should Redis have lost its own
-- (a restart), counting goes on from there. Returns number and count of receivers for each ticker.
local answer = {}
for i = 1, #KEYS / 2 do
  local seq_key, last_key = KEYS[2 * i - 1], KEYS[2 * i]
  local channel, head, tail, known = ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i], tonumber(ARGV[4 * i + 1])
  local seq = redis.pcall('INCR', seq_key)
  if type(seq) == 'table' or seq <= known then -- a table is an error: the counter is broken
    seq = known + 1
    redis.call('SET', seq_key, string.format('%d', seq))
  end
  local message = head .. string.format('%d', seq) .. tail
  redis.call('SET', last_key, message, 'EX', ARGV[1])
  answer[2 * i - 1] = seq
  answer[2 * i] = redis.call('PUBLISH', channel, message)
end
return answer
