
-- Upkeep's function: whatever is over in time, and what an outage has left.
--
-- deletable set   jobs, batches, and pictures of the library, whose files may go
-- reaped_at       ms of the last reap

local RECORD_KEPT_MS = 7 * 86400 * 1000
local EVENTS_KEPT_MS = 3600 * 1000
-- One reap stays short even after a storm. The server drops whole blocks of some hundred events, and never one that
-- holds a younger event.
local MAX_TRIMMED = 5000
local MAX_BATCHES = 5
local INDEXES = {'suspects', 'delayed', 'leases', 'deadlines', 'gc', 'dead'}

-- Nobody reaped for long (an outage) or the clock jumped: not the jobs' fault, so every lease starts again.
-- And none lasts longer than a lease from now, however the clock has been set back.
local function renew_leases(p, last, now, lease_ms)
  local from = '(' .. text(now + lease_ms)
  if not last or math.abs(now - last) > lease_ms / 2 then
    from = '-inf'
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'leases', from, '+inf')) do
    redis.call('ZADD', p .. 'leases', text(now + lease_ms), id)
  end
end

-- The clock has been set back: a pause until a moment that is now far away is over, and so is a hold.
local function end_pauses(p, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'delayed', '(' .. text(now), '+inf')) do
    redis.call('ZADD', p .. 'delayed', text(now), id)
  end
  redis.call('DEL', p .. 'hold')
end

local function mend_times(p, now, lease_ms)
  local last = tonumber(redis.call('GET', p .. 'reaped_at'))
  redis.call('SET', p .. 'reaped_at', text(now))
  renew_leases(p, last, now, lease_ms)
  if last and now < last then
    end_pauses(p, now)
  end
end

-- The jobs of an index whose time has come. An entry without a record goes: it must not stop what is due to others.
local function due_jobs(p, index, limit, now)
  local jobs = {}
  local ids = redis.call('ZRANGEBYSCORE', p .. index, '-inf', text(now), 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local job = read_job(p, id)
    if job.state then
      jobs[#jobs + 1] = job
    else
      for _, other in ipairs(INDEXES) do
        redis.call('ZREM', p .. other, id)
      end
    end
  end
  return jobs, #ids
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

-- Pictures first, the record a week later; of what is to be erased all at once.
local function collect(p, job, now)
  if job.erase then
    redis.call('SADD', p .. 'deletable', job.id)
    forget(p, job)
  elseif job.expired then
    stop_hooks(p, 'job:' .. job.id)
    forget(p, job)
  else
    write_job(p, job, 'expired', 1)
    redis.call('ZADD', p .. 'gc', text(now + RECORD_KEPT_MS), job.id)
    redis.call('SADD', p .. 'deletable', job.id)
    announce(p, now, job.id, 'job.expired')
  end
end

-- The books of batches that ended long ago, which may be long themselves.
local function collect_batches(p, now)
  local ids = redis.call('ZRANGEBYSCORE', p .. 'batch_gc', '-inf', text(now), 'LIMIT', 0, MAX_BATCHES)
  for _, id in ipairs(ids) do
    stop_hooks(p, 'batch:' .. id)
    local batch = redis.call('HMGET', batch_key(p, 'batch', id), 'tenant', 'total')
    if batch[1] and redis.call('HINCRBY', p .. 'kept_items', batch[1], -batch[2]) <= 0 then
      redis.call('HDEL', p .. 'kept_items', batch[1])
    end
    redis.call('UNLINK', batch_key(p, 'batch', id), batch_key(p, 'batch_ends', id), batch_key(p, 'batch_live', id))
    redis.call('ZREM', p .. 'batch_gc', id)
  end
end

-- limit, lease_ms, max_deliveries, then ids whose files the caller has deleted
-- -> {requeued, ended, due again, collected, ids whose files may be deleted}
-- An id is named again until a caller has said that its files are gone, so that a lost answer loses nothing.
local function reap(keys, args)
  local p, left, lease_ms, max_deliveries = keys[1], tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local now = now_ms()
  local requeued, ended, again, collected = 0, 0, 0, 0
  local limit = left
  local function due(index)
    local jobs, num_seen = due_jobs(p, index, left, now)
    left = left - num_seen
    return jobs
  end
  for i = 4, #args do
    redis.call('SREM', p .. 'deletable', args[i])
  end
  mend_times(p, now, lease_ms)
  for _, job in ipairs(due('leases')) do
    if lose_delivery(p, job, now, max_deliveries) then
      ended = ended + 1
    else
      requeued = requeued + 1
    end
  end
  for _, job in ipairs(due('deadlines')) do
    if pass_deadline(p, job, now, lease_ms) then
      ended = ended + 1
    end
  end
  for _, job in ipairs(due('delayed')) do
    redis.call('ZREM', p .. 'delayed', job.id)
    to_waiting(p, job, now)
    if not job.not_for then
      emit(p, now, job.id, 'job.requeued')
    end
    again = again + 1
  end
  for _, job in ipairs(due('gc')) do
    collect(p, job, now)
    collected = collected + 1
  end
  collect_batches(p, now)
  forget_unused_pictures(p, now, limit)
  trim_outbox(p, now - EVENTS_KEPT_MS, MAX_TRIMMED)
  return {requeued, ended, again, collected, redis.call('SRANDMEMBER', p .. 'deletable', limit)}
end

redis.register_function{function_name = 'q1_reap', callback = reap, flags = {'allow-oom'}}
