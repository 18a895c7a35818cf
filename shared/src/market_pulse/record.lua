-- Add a point to each of many histories, in one step.
-- KEYS: `history:<resolution>:<symbol>` a point. ARGV: how many points a history keeps, its expiry in seconds, then for each
-- point the id of its entry, the count of its fields and values, and these. A point that is not newer than the newest there
-- was written by another copy: it is passed over, as is a key of another type. Returns how many points were added.
local written, at = 0, 3
for i = 1, #KEYS do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local answer = redis.pcall('XADD', KEYS[i], 'MAXLEN', '=', ARGV[1], id, unpack(ARGV, at + 2, at + 1 + count))
  if type(answer) == 'string' then -- a table is an error
    redis.call('EXPIRE', KEYS[i], ARGV[2])
    written = written + 1
  end
  at = at + 2 + count
end
return written
