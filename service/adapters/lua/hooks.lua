
-- Webhooks: which changes are told to whom, and whose turn it is to be told.
-- Not here: what is sent, and how long the pauses between two tries are.
--
-- A job's record, and a batch's, may have a `hook`: JSON with host, the receiver, and events, the types it wants.
--
-- planned                     id of the last event of the outbox that has been looked at here
-- hook:<id> hash              a delivery: owner is job:<id> or batch:<id>, host its receiver, seen what a client then
--                             saw of the job; tries counts the claims, and is the fence of the last one
-- hooks_of:<owner> list       its deliveries in the order of the changes; only the first one is tried
-- hooks_due:<host> zset       deliveries to a receiver that wait, by ms when the next try is due
-- hooks_sent:<host> zset      those that are being tried, by ms when the lease ends
-- hooks zset                  receivers, by ms when something of theirs can be claimed next
-- hook_secrets:<tenant> hash  current, previous, and until_ms, when the time of that one is over

-- A receiver that hangs keeps so many claims, and delays nobody else.
local MAX_PER_HOST = 4
local SECRET_KEPT_MS = 86400 * 1000

local function schedule_host(p, host)
  local sent, due = p .. 'hooks_sent:' .. host, p .. 'hooks_due:' .. host
  local at = tonumber(redis.call('ZRANGE', sent, 0, 0, 'WITHSCORES')[2])
  if redis.call('ZCARD', sent) < MAX_PER_HOST then
    local first = tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
    at = first and math.min(first, at or first) or at
  end
  if at then
    redis.call('ZADD', p .. 'hooks', text(at), host)
  else
    redis.call('ZREM', p .. 'hooks', host)
  end
end

local function make_due(p, host, id, at)
  redis.call('ZREM', p .. 'hooks_sent:' .. host, id)
  redis.call('ZADD', p .. 'hooks_due:' .. host, text(at), id)
  schedule_host(p, host)
end

local function remove_hook(p, host, id)
  redis.call('ZREM', p .. 'hooks_sent:' .. host, id)
  redis.call('ZREM', p .. 'hooks_due:' .. host, id)
  redis.call('DEL', p .. 'hook:' .. id)
  schedule_host(p, host)
end

-- Nothing more is told of a job or a batch.
local function stop_hooks(p, owner)
  redis.call('HDEL', p .. owner, 'hook')
  for _, id in ipairs(redis.call('LRANGE', p .. 'hooks_of:' .. owner, 0, -1)) do
    remove_hook(p, redis.call('HGET', p .. 'hook:' .. id, 'host'), id)
  end
  redis.call('DEL', p .. 'hooks_of:' .. owner)
end

local function is_wanted(hook, kind)
  for _, event in ipairs(hook.events) do
    if event == kind then
      return true
    end
  end
  return false
end

-- An event of the outbox: of a job, with the number of its change, or of a batch, which has one event only.
local function plan_event(p, event, now)
  local owner = event.job and 'job:' .. event.job or 'batch:' .. (event.batch or '')
  local hook = redis.call('HGET', p .. owner, 'hook')
  hook = hook and cjson.decode(hook)
  if not hook or not is_wanted(hook, event.type) then
    return
  end
  local number = string.match(event.change or '0-1', '%d+$')
  local id = 'msg_' .. string.match(owner, '_(.*)$') .. '_' .. number
  -- Of a job that changed more often than its history is long, the oldest change that is kept.
  local change = event.change and redis.call('XRANGE', p .. 'history:' .. event.job, event.change, '+', 'COUNT', 1)[1]
  redis.call('HSET', p .. 'hook:' .. id, 'owner', owner, 'host', hook.host, 'type', event.type, 'at', event.at,
    'seen', change and cjson.encode(change[2]) or '[]', 'tries', 0)
  if redis.call('RPUSH', p .. 'hooks_of:' .. owner, id) == 1 then
    make_due(p, hook.host, id, now)
  end
end

-- limit -> how many events of the outbox were looked at; each of them once for all time
local function hook_plan(keys, args)
  local p, now = keys[1], now_ms()
  local after = redis.call('GET', p .. 'planned')
  local entries = redis.call('XRANGE', p .. 'events', after and '(' .. after or '-', '+', 'COUNT', args[1])
  for _, entry in ipairs(entries) do
    local event = {}
    for i = 1, #entry[2], 2 do
      event[entry[2][i]] = entry[2][i + 1]
    end
    plan_event(p, event, now)
  end
  if #entries > 0 then
    redis.call('SET', p .. 'planned', entries[#entries][1])
  end
  return #entries
end

-- What is not planned yet must stay.
local function trim_outbox(p, before_ms, limit)
  local planned_ms = string.match(redis.call('GET', p .. 'planned') or '0', '^%d+')
  local min_ms = math.min(before_ms, tonumber(planned_ms))
  redis.call('XTRIM', p .. 'events', 'MINID', '~', text(min_ms), 'LIMIT', limit)
end

-- A process that took these has died.
local function take_back(p, host, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'hooks_sent:' .. host, '-inf', text(now))) do
    make_due(p, host, id, now)
  end
end

-- The next delivery to a receiver, or nil.
local function take_due(p, host, now, lease_ms)
  local due = p .. 'hooks_due:' .. host
  local id = redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, 1)[1]
  if not id then
    return nil
  end
  local hook = redis.call('HMGET', p .. 'hook:' .. id, 'owner', 'type', 'at', 'seen')
  local record = hook[1] and redis.call('HGETALL', p .. hook[1]) or {}
  if #record == 0 then
    -- An entry without a record must not stop all claims.
    remove_hook(p, host, id)
    return nil
  end
  redis.call('ZREM', due, id)
  redis.call('ZADD', p .. 'hooks_sent:' .. host, text(now + lease_ms), id)
  local tries = redis.call('HINCRBY', p .. 'hook:' .. id, 'tries', 1)
  return {id, tries, hook[1], hook[2], hook[3], hook[4], record}
end

-- limit, lease_ms -> for each delivery {id, fence, owner, type, ms of the event, JSON of what was seen, the record}
-- Never two of one job, and of one receiver only so many.
local function hook_claim(keys, args)
  local p, limit, lease_ms, now = keys[1], tonumber(args[1]), tonumber(args[2]), now_ms()
  local given = {}
  repeat
    local num_before = #given
    local room = limit - num_before
    for _, host in ipairs(redis.call('ZRANGEBYSCORE', p .. 'hooks', '-inf', text(now), 'LIMIT', 0, room)) do
      take_back(p, host, now)
      given[#given + 1] = take_due(p, host, now, lease_ms)
      schedule_host(p, host)
    end
  until #given == num_before
  return given
end

-- id, fence, ended | retry | disabled, delay_ms of a retry -> that outcome | fenced | gone
-- Ended is what was taken and what nobody tries any more: the job's next one has its turn. A receiver that wants no more
-- has disabled all of the job's.
local function hook_done(keys, args)
  local p, id, fence, outcome, now = keys[1], args[1], args[2], args[3], now_ms()
  local hook = redis.call('HMGET', p .. 'hook:' .. id, 'owner', 'host', 'tries')
  local owner, host = hook[1], hook[2]
  if not owner then
    return 'gone'
  end
  if hook[3] ~= fence then
    return 'fenced'
  end
  if outcome == 'disabled' then
    stop_hooks(p, owner)
  elseif outcome == 'retry' then
    make_due(p, host, id, now + args[4])
  else
    remove_hook(p, host, id)
    redis.call('LPOP', p .. 'hooks_of:' .. owner)
    local next_id = redis.call('LINDEX', p .. 'hooks_of:' .. owner, 0)
    if next_id then
      make_due(p, host, next_id, now)
    end
  end
  return outcome
end

local function good_secrets(name)
  local secrets = redis.call('HMGET', name, 'current', 'previous', 'until_ms')
  if secrets[2] and tonumber(secrets[3]) > now_ms() then
    return {secrets[1], secrets[2]}
  end
  return {secrets[1]}
end

-- tenant, a secret to begin with -> its secrets that are good, the present one first
local function hook_secrets(keys, args)
  local name = keys[1] .. 'hook_secrets:' .. args[1]
  redis.call('HSETNX', name, 'current', args[2])
  return good_secrets(name)
end

-- tenant, its next secret -> as hook_secrets
local function hook_rotate(keys, args)
  local name = keys[1] .. 'hook_secrets:' .. args[1]
  local old = redis.call('HGET', name, 'current')
  if old and old ~= args[2] then
    redis.call('HSET', name, 'previous', old, 'until_ms', text(now_ms() + SECRET_KEPT_MS))
  end
  redis.call('HSET', name, 'current', args[2])
  return good_secrets(name)
end

redis.register_function{function_name = 'q1_hook_plan', callback = hook_plan, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_hook_claim', callback = hook_claim, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_hook_done', callback = hook_done, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_hook_secrets', callback = hook_secrets, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_hook_rotate', callback = hook_rotate, flags = {'allow-oom'}}
