
-- The workers that are alive, and what each says of itself.
-- Not here: what a report means. A worker that stops announcing itself is gone when its time is over.
--
-- workers zset by ms, worker_reports hash    when each counts as gone; its report

local function forget_workers(p, names)
  if #names > 0 then
    redis.call('ZREM', p .. 'workers', unpack(names))
    redis.call('HDEL', p .. 'worker_reports', unpack(names))
  end
end

local function forget_silent_workers(p, now)
  -- 1,000 at most, as `unpack` has a bound; the rest goes next time.
  forget_workers(p, redis.call('ZRANGEBYSCORE', p .. 'workers', '-inf', text(now), 'LIMIT', 0, 1000))
end

-- worker, report, alive_ms -> ok
local function worker_announce(keys, args)
  local p, worker, report, alive_ms = keys[1], args[1], args[2], tonumber(args[3])
  local now = now_ms()
  forget_silent_workers(p, now)
  redis.call('ZADD', p .. 'workers', text(now + alive_ms), worker)
  redis.call('HSET', p .. 'worker_reports', worker, report)
  return 'ok'
end

-- worker -> ok
local function worker_withdraw(keys, args)
  forget_workers(keys[1], {args[1]})
  return 'ok'
end

-- -> the reports
local function workers(keys, _)
  forget_silent_workers(keys[1], now_ms())
  return redis.call('HVALS', keys[1] .. 'worker_reports')
end

redis.register_function{function_name = 'q1_worker_announce', callback = worker_announce, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_worker_withdraw', callback = worker_withdraw, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_workers', callback = workers, flags = {'allow-oom'}}
