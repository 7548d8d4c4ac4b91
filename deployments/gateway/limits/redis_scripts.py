"""Redis' side of the limits: account.py once more, in Lua, because only there is it atomic for several gateways.

Both use Redis' own clock, so that gateways whose clocks differ agree. A test compares `TAKE` with account.py.
"""

KEPT_S = 3600  # of an unused account: longer than any request, so that its debts are found when it settles

ACCOUNT = f"""
local rpm, tpm, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])  -- below 0: no limit
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local at = tonumber(kept[3]) or now

local function filled(level, per_minute)
  if per_minute < 0 then return 0 end
  if not level then return per_minute end
  return math.min(per_minute, level + math.max(0, now - at) * per_minute / 60)
end

local function full_in(level, per_minute)
  if per_minute <= 0 then return 0 end
  return math.max(0, per_minute - level) * 60 / per_minute
end

local requests, tokens = filled(tonumber(kept[1]), rpm), filled(tonumber(kept[2]), tpm)

local function keep()
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'at', string.format('%.17g', math.max(now, at)))
  if rpm >= 0 then redis.call('HSET', KEYS[1], 'requests', string.format('%.17g', requests)) end
  if tpm >= 0 then redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens)) end
  redis.call('EXPIRE', KEYS[1], math.ceil(math.max(full_in(requests, rpm), full_in(tokens, tpm))) + {KEPT_S})
end
"""

TAKE = (
    ACCOUNT
    + """
local cost, lease, lease_s, look = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'

local function wait(level, wanted, per_minute)
  if per_minute < 0 then return 0 end
  if wanted > per_minute then return math.huge end
  local missing = wanted - level
  if missing <= 0.000001 then return 0 end
  return missing * 60 / per_minute
end

local refused, longest = '', 0
local function consider(name, seconds)
  if seconds > longest then refused, longest = name, seconds end
end
if not look then
  consider('requests', wait(requests, 1, rpm))
  consider('tokens', wait(tokens, cost, tpm))
  if most >= 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
    if redis.call('ZCARD', KEYS[2]) >= most then consider('concurrent', most > 0 and 1 or math.huge) end
  end
end
if refused == '' and not look then
  requests, tokens = requests - 1, tokens - cost
  keep()
  if most >= 0 then
    redis.call('ZADD', KEYS[2], now + lease_s, lease)
    redis.call('PEXPIRE', KEYS[2], math.ceil(lease_s * 2000))
  end
end
local function told(number) return string.format('%.6f', number) end
return {
  refused, longest == math.huge and '-1' or told(longest),
  told(requests), told(tokens), told(full_in(requests, rpm)), told(full_in(tokens, tpm))
}
"""
)

SETTLE = (
    ACCOUNT
    + """
redis.call('ZREM', KEYS[2], ARGV[4])
requests, tokens = requests + tonumber(ARGV[5]), tokens + tonumber(ARGV[6])
keep()
"""
)

RENEW = """
local clock = redis.call('TIME')
local now, lease_s = tonumber(clock[1]) + tonumber(clock[2]) / 1000000, tonumber(ARGV[1])
for place = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now + lease_s, ARGV[place])
end
redis.call('PEXPIRE', KEYS[1], math.ceil(lease_s * 2000))
"""
