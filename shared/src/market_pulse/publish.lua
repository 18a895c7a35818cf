-- Publish messages and keep each as the last value of its channel, in one step.
-- KEYS: one `last:<channel>` a message. ARGV: expiry in seconds, then channel and message for each key.
for i = 1, #KEYS do
  local channel, message = ARGV[2 * i], ARGV[2 * i + 1]
  redis.call('SET', KEYS[i], message, 'EX', ARGV[1])
  redis.call('PUBLISH', channel, message)
end
