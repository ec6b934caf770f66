
-- Upkeep's function: whatever is over in time, and what an outage has left.
--
-- deletable set   jobs whose pictures may go
-- reaped_at       ms of the last reap

local RECORD_KEPT_MS = 7 * 86400 * 1000
local EVENTS_KEPT_MS = 3600 * 1000

-- Nobody reaped for long (an outage) or the clock jumped: not the jobs' fault, so every lease starts again.
-- And none lasts longer than a lease from now, however the clock has been set back.
local function renew_leases(p, now, lease_ms)
  local last = tonumber(redis.call('GET', p .. 'reaped_at'))
  redis.call('SET', p .. 'reaped_at', text(now))
  local from = '(' .. text(now + lease_ms)
  if not last or math.abs(now - last) > lease_ms / 2 then
    from = '-inf'
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'leases', from, '+inf')) do
    redis.call('ZADD', p .. 'leases', text(now + lease_ms), id)
  end
end

-- Returns whether the job has ended: a running one is the worker's to end, so it is only flagged, and looked at again
-- a lease later.
local function pass_deadline(p, job, now, lease_ms)
  if job.state == 'running' then
    if not job.cancel then
      flag(p, job, now, 'deadline')
    end
    redis.call('ZADD', p .. 'deadlines', text(now + lease_ms), job.id)
    return false
  end
  leave_waiting(p, job)
  end_unwanted(p, job, now, 'deadline')
  return true
end

-- Pictures first, the record a week later.
local function collect(p, id, now)
  local job = read_job(p, id)
  if job.expired then
    redis.call('DEL', p .. 'job:' .. id)
    redis.call('ZREM', p .. 'gc', id)
    redis.call('ZREM', p .. 'dead', id)
  else
    write_job(p, job, 'expired', 1)
    redis.call('ZADD', p .. 'gc', text(now + RECORD_KEPT_MS), id)
    redis.call('SADD', p .. 'deletable', id)
    emit(p, now, id, 'job.expired')
  end
end

-- limit, lease_ms, max_deliveries, then ids whose pictures the caller has deleted
-- -> {requeued, ended, due again, collected, ids whose pictures may be deleted}
-- An id is named again until a caller has said that its pictures are gone, so that a lost answer loses nothing.
local function reap(keys, args)
  local p, left, lease_ms, max_deliveries = keys[1], tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local now = now_ms()
  local requeued, ended, again, collected = 0, 0, 0, 0
  local limit = left
  local function due(key)
    local ids = redis.call('ZRANGEBYSCORE', p .. key, '-inf', text(now), 'LIMIT', 0, left)
    left = left - #ids
    return ids
  end
  for i = 4, #args do
    redis.call('SREM', p .. 'deletable', args[i])
  end
  renew_leases(p, now, lease_ms)
  for _, id in ipairs(due('leases')) do
    if lose_delivery(p, read_job(p, id), now, max_deliveries) then
      ended = ended + 1
    else
      requeued = requeued + 1
    end
  end
  for _, id in ipairs(due('deadlines')) do
    if pass_deadline(p, read_job(p, id), now, lease_ms) then
      ended = ended + 1
    end
  end
  for _, id in ipairs(due('delayed')) do
    redis.call('ZREM', p .. 'delayed', id)
    to_waiting(p, read_job(p, id), now)
    emit(p, now, id, 'job.requeued')
    again = again + 1
  end
  for _, id in ipairs(due('gc')) do
    collect(p, id, now)
    collected = collected + 1
  end
  redis.call('XTRIM', p .. 'events', 'MINID', text(now - EVENTS_KEPT_MS))
  return {requeued, ended, again, collected, redis.call('SRANDMEMBER', p .. 'deletable', limit)}
end

redis.register_function{function_name = 'q1_reap', callback = reap, flags = {'allow-oom'}}
