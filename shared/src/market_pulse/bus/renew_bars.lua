-- Renew sets of bars. KEYS: the sets. ARGV: their expiry in seconds. Returns how many bars each set has; -1 for a key of another type.
local sizes = {}
for i, key in ipairs(KEYS) do
  local size = redis.pcall('ZCARD', key)
  if type(size) == 'number' then
    redis.call('EXPIRE', key, ARGV[1])
  end
  sizes[i] = type(size) == 'number' and size or -1
end
return sizes
