-- Add a point to each of many histories, in one step.
-- KEYS: `history:<resolution>:<symbol>` a point. ARGV: how many points a history keeps, its expiry in seconds, and the entries
-- in the order of KEYS as a JSON array (of each its id, fields and values), since one argument costs the client far less than
-- many. A point that is not newer than the newest there was written by another copy: it is passed over, as is a key of another
-- type. Returns how many points were added.
local written = 0
for i, entry in ipairs(cjson.decode(ARGV[3])) do
  local answer = redis.pcall('XADD', KEYS[i], 'MAXLEN', '=', ARGV[1], unpack(entry))
  if type(answer) == 'string' then
    redis.call('EXPIRE', KEYS[i], ARGV[2])
    written = written + 1
  elseif not (answer.err:find('equal or smaller', 1, true) or answer.err:find('WRONGTYPE', 1, true)) then
    return answer -- no fault of this point: nothing can be written
  end
end
return written
