"""What Redis runs (Lua): each script is one step that no other gateway's can come between.

A scope's state is under four keys: `:r` and `:t`, hashes from a second to the requests and tokens of that second; `:d`,
a hash with the day and its tokens; `:s`, a sorted set of the streams that run by when their lease ends. The clock is
Redis' own, so gateways need not agree on the time. Windows are those of `memory.py`.
"""

_COMMON = """
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second + tonumber(time[2]) / 1000000
local day = math.floor(second / 86400)

local function today(key)
  local found = redis.call('HMGET', key, 'day', 'tokens')
  if tonumber(found[1]) == day then return tonumber(found[2]) end
  return 0
end

local function charge(minute, of_day, tokens)
  redis.call('HINCRBY', minute, second, tokens)
  redis.call('EXPIRE', minute, 120)
  redis.call('HSET', of_day, 'tokens', today(of_day) + tokens, 'day', day)
  redis.call('EXPIRE', of_day, 172800)
end
"""

ADMIT = (
    _COMMON
    + """
-- KEYS: four for each scope. ARGV: stream (its member, or ''), lease, tokens to reserve, then for each scope requests a
-- minute, tokens a minute, tokens a day, streams; 0: no such limit.
-- Returns scope (from 1; 0: granted), limit (from 1), seconds to wait, this second, then for each scope requests,
-- tokens, today.
local member, lease, reserved = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function window(key)
  local total, slots, gone = 0, {}, {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local at, amount = tonumber(all[i]), tonumber(all[i + 1])
    if at < second - 60 then
      gone[#gone + 1] = all[i]
    else
      total = total + amount
      slots[#slots + 1] = {at, amount}
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  return total, slots
end

local function until_below(total, slots, most)
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  for _, slot in ipairs(slots) do
    total = total - slot[2]
    if total < most then return slot[1] + 61 - now end
  end
  return 0
end

local answer = {0, 0, '0', second}
local longest = -1
local function exhausted(scope, limit, wait)
  if wait > longest then
    longest = wait
    answer[1], answer[2], answer[3] = scope, limit, tostring(wait)
  end
end

local scopes = #KEYS / 4
for scope = 1, scopes do
  local key, most = (scope - 1) * 4, {}
  for limit = 1, 4 do most[limit] = tonumber(ARGV[3 + key + limit]) end
  local requests, request_slots = window(KEYS[key + 1])
  local tokens, token_slots = window(KEYS[key + 2])
  local used = today(KEYS[key + 3])
  if most[1] > 0 and requests >= most[1] then exhausted(scope, 1, until_below(requests, request_slots, most[1])) end
  if most[2] > 0 and tokens >= most[2] then exhausted(scope, 2, until_below(tokens, token_slots, most[2])) end
  if most[3] > 0 and used >= most[3] then exhausted(scope, 3, (day + 1) * 86400 - now) end
  if most[4] > 0 and member ~= '' then
    redis.call('ZREMRANGEBYSCORE', KEYS[key + 4], '-inf', now)
    if redis.call('ZCARD', KEYS[key + 4]) >= most[4] then exhausted(scope, 4, 1) end
  end
  answer[#answer + 1] = requests
  answer[#answer + 1] = tokens
  answer[#answer + 1] = used
end
if answer[1] > 0 then return answer end
for scope = 1, scopes do
  local key = (scope - 1) * 4
  redis.call('HINCRBY', KEYS[key + 1], second, 1)
  redis.call('EXPIRE', KEYS[key + 1], 120)
  if member ~= '' and tonumber(ARGV[3 + key + 4]) > 0 then
    redis.call('ZADD', KEYS[key + 4], now + lease, member)
    redis.call('EXPIRE', KEYS[key + 4], math.ceil(lease) * 2)
  end
  answer[2 + scope * 3] = answer[2 + scope * 3] + 1
  if reserved > 0 and (tonumber(ARGV[3 + key + 2]) > 0 or tonumber(ARGV[3 + key + 3]) > 0) then
    charge(KEYS[key + 2], KEYS[key + 3], reserved)
    answer[3 + scope * 3] = answer[3 + scope * 3] + reserved
    answer[4 + scope * 3] = answer[4 + scope * 3] + reserved
  end
end
return answer
"""
)

CHARGE = (
    _COMMON
    + """
-- KEYS: a scope's tokens and day. ARGV: tokens.
charge(KEYS[1], KEYS[2], tonumber(ARGV[1]))
return 0
"""
)

GIVE_BACK = (
    _COMMON
    + """
-- KEYS: a scope's tokens and day. ARGV: tokens that were reserved, and the second in which they were.
local tokens, since = tonumber(ARGV[1]), tonumber(ARGV[2])
if since >= second - 60 and redis.call('HEXISTS', KEYS[1], since) == 1 then
  redis.call('HINCRBY', KEYS[1], since, -tokens)
end
if math.floor(since / 86400) == day then
  redis.call('HSET', KEYS[2], 'tokens', math.max(0, today(KEYS[2]) - tokens), 'day', day)
  redis.call('EXPIRE', KEYS[2], 172800)
end
return 0
"""
)

RENEW = (
    _COMMON
    + """
-- KEYS: streams of a scope. ARGV: lease, members.
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[1])) * 2)
return 0
"""
)

PROBE = """
-- Whether Redis takes writes: a full one answers, and takes none.
return redis.call('SET', KEYS[1], '1', 'PX', 1000)
"""
