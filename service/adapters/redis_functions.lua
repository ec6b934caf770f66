#!lua name=xmdpt_q1
-- The queue: every change of a job's state, each one atomic step that also writes its event.
-- Not here: pictures, HTTP, who waits for whom. Called as FCALL q1_<name> 1 <prefix> args; the clock is the server's.
--
-- job:<id> hash          state is queued, delayed (queued with a pause before), running, succeeded or failed
-- ready:.. suspects      zsets by seq: queued jobs; a suspect had a delivery whose lease ran out
-- delayed leases gc      zsets by ms: when due, when the lease ends, when pictures and then the record go
-- alone                  hash worker -> the suspect that it runs; until that ends it gets nothing else
-- hold                   the one worker that is being emptied for a suspect, and until when
-- live deletable events  count of jobs that have not ended; jobs whose pictures may go; the outbox

local READY = 'ready:interactive:default'
local SUSPECT_PATIENCE_MS = 5000
local RECORD_KEPT_MS = 7 * 86400 * 1000
local EVENTS_KEPT_MS = 3600 * 1000

local FIELDS = {
  'state', 'seq', 'rows', 'request', 'created_ms', 'retention_ms', 'fence', 'owner', 'deliveries', 'failures',
  'suspect', 'suspect_since', 'stage', 'step', 'moved_ms', 'last_fence', 'last_verdict', 'expired',
}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

-- The job as a table; state is false if there is no such job.
local function read_job(p, id)
  local values = redis.call('HMGET', p .. 'job:' .. id, unpack(FIELDS))
  local job = {id = id}
  for i, field in ipairs(FIELDS) do
    job[field] = values[i]
  end
  return job
end

local function write_job(p, job, ...)
  redis.call('HSET', p .. 'job:' .. job.id, ...)
end

local function emit(p, now, id, kind)
  redis.call('XADD', p .. 'events', '*', 'type', kind, 'job', id, 'at', text(now))
end

-- To its first place in line: among the ready, or among those that must run alone.
local function to_waiting(p, job, now)
  if job.suspect == '1' then
    write_job(p, job, 'state', 'queued', 'suspect', '1', 'suspect_since', text(now))
    redis.call('ZADD', p .. 'suspects', job.seq, job.id)
  else
    write_job(p, job, 'state', 'queued')
    redis.call('ZADD', p .. READY, job.seq, job.id)
  end
  redis.call('PUBLISH', p .. 'wake', job.id)
end

local function leave_running(p, job)
  redis.call('ZREM', p .. 'leases', job.id)
  if job.suspect == '1' then
    redis.call('HDEL', p .. 'alone', job.owner)
  end
end

local function end_job(p, job, now, state)
  local expires = text(now + job.retention_ms)
  write_job(p, job, 'state', state, 'ended_ms', text(now), 'expires_ms', expires)
  redis.call('HINCRBY', p .. 'live', '*', -1)
  redis.call('ZADD', p .. 'gc', expires, job.id)
  emit(p, now, job.id, 'job.' .. state)
end

-- A delivery went silent or stalled: the job may have killed its worker. Returns whether it has ended.
local function lose_delivery(p, job, now, max_deliveries)
  leave_running(p, job)
  if tonumber(job.deliveries) >= max_deliveries then
    write_job(p, job, 'error_code', 'attempts_exhausted',
      'error_detail', 'no worker finished the job in ' .. job.deliveries .. ' deliveries')
    end_job(p, job, now, 'failed')
    return true
  end
  job.suspect = '1'
  to_waiting(p, job, now)
  emit(p, now, job.id, 'job.requeued')
  return false
end

-- id, rows, request, max_live, retention_ms -> ok | dup | full
local function enqueue(keys, args)
  local p, id, rows, request = keys[1], args[1], args[2], args[3]
  local max_live, retention_ms = tonumber(args[4]), args[5]
  if redis.call('EXISTS', p .. 'job:' .. id) == 1 then
    return 'dup'
  end
  if tonumber(redis.call('HGET', p .. 'live', '*') or 0) >= max_live then
    return 'full'
  end
  local now = now_ms()
  local job = {id = id, seq = redis.call('INCR', p .. 'seq')}
  write_job(p, job, 'rows', rows, 'request', request, 'retention_ms', retention_ms, 'seq', job.seq,
    'created_ms', text(now), 'deliveries', 0, 'failures', 0, 'suspect', 0)
  redis.call('HINCRBY', p .. 'live', '*', 1)
  to_waiting(p, job, now)
  emit(p, now, id, 'job.queued')
  return 'ok'
end

-- A suspect that has waited too long empties one worker; the others go on.
local function must_hold(p, worker, suspect, lease_ms, now)
  if now - read_job(p, suspect).suspect_since <= SUSPECT_PATIENCE_MS then
    return false
  end
  local holder = redis.call('HMGET', p .. 'hold', 'worker', 'until_ms')
  if holder[1] and holder[1] ~= worker and tonumber(holder[2]) > now then
    return false
  end
  redis.call('HSET', p .. 'hold', 'worker', worker, 'until_ms', text(now + lease_ms))
  return true
end

-- Jobs for this worker in their order, and whether it is being emptied. The first that does not fit ends the
-- choice: smaller ones behind it must not starve it.
local function choose(p, worker, free_rows, running, lease_ms, now)
  if free_rows < 1 or redis.call('HEXISTS', p .. 'alone', worker) == 1 then
    return {}, false
  end
  local suspect = redis.call('ZRANGE', p .. 'suspects', 0, 0)[1]
  if suspect and running == 0 then
    redis.call('DEL', p .. 'hold')
    return {read_job(p, suspect)}, false
  end
  if suspect and must_hold(p, worker, suspect, lease_ms, now) then
    return {}, true
  end
  local jobs = {}
  for _, id in ipairs(redis.call('ZRANGE', p .. READY, 0, free_rows - 1)) do
    local job = read_job(p, id)
    free_rows = free_rows - job.rows
    if free_rows < 0 then
      break
    end
    jobs[#jobs + 1] = job
  end
  return jobs, false
end

local function start(p, job, worker, lease_ms, now)
  local fence = redis.call('INCR', p .. 'fence')
  write_job(p, job, 'state', 'running', 'fence', fence, 'owner', worker, 'deliveries', job.deliveries + 1,
    'started_ms', text(now), 'moved_ms', text(now), 'stage', '', 'step', 0)
  if job.suspect == '1' then
    redis.call('ZREM', p .. 'suspects', job.id)
    redis.call('HSET', p .. 'alone', worker, job.id)
  else
    redis.call('ZREM', p .. READY, job.id)
  end
  redis.call('ZADD', p .. 'leases', text(now + lease_ms), job.id)
  emit(p, now, job.id, 'job.started')
  return {
    id = job.id, fence = fence, request = job.request, is_suspect = job.suspect == '1',
    waited_ms = now - job.created_ms,
  }
end

-- worker incarnation, claim number, free rows, running jobs, lease_ms -> JSON {hold, jobs}
-- A claim that gave jobs is remembered for two leases: its number repeated gives the same answer.
local function claim(keys, args)
  local p, worker, number = keys[1], args[1], args[2]
  local free_rows, running, lease_ms = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  local memory = p .. 'claim:' .. worker
  local last = redis.call('HMGET', memory, 'number', 'answer')
  if last[1] == number then
    return last[2]
  end
  local now = now_ms()
  local chosen, is_held = choose(p, worker, free_rows, running, lease_ms, now)
  local jobs = {}
  for i, job in ipairs(chosen) do
    jobs[i] = start(p, job, worker, lease_ms, now)
  end
  local answer = cjson.encode({hold = is_held, jobs = jobs})
  if #jobs > 0 then
    redis.call('HSET', memory, 'number', number, 'answer', answer)
    redis.call('PEXPIRE', memory, text(2 * lease_ms))
  end
  return answer
end

-- lease_ms, stall_ms, max_deliveries, then id, fence, stage, step of each job -> ok | lost for each
local function heartbeat(keys, args)
  local p, lease_ms, stall_ms, max_deliveries = keys[1], tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local now = now_ms()
  local verdicts = {}
  for i = 4, #args, 4 do
    local job, fence, stage, step = read_job(p, args[i]), args[i + 1], args[i + 2], args[i + 3]
    local verdict = 'lost'
    if job.state == 'running' and job.fence == fence then
      local has_moved = job.stage ~= stage or job.step ~= step
      if has_moved then
        write_job(p, job, 'stage', stage, 'step', step, 'moved_ms', text(now))
      end
      if has_moved or now - job.moved_ms <= stall_ms then
        redis.call('ZADD', p .. 'leases', text(now + lease_ms), job.id)
        verdict = 'ok'
      else
        lose_delivery(p, job, now, max_deliveries)
      end
    end
    verdicts[#verdicts + 1] = verdict
  end
  return verdicts
end

-- What an end without the right to it is answered: the job is gone, this delivery has already ended the same way,
-- or another delivery has the right. Nil if the job is running under this fence.
local function refusal(job, fence, is_release)
  if not job.state then
    return {'gone'}
  end
  if job.last_fence == fence and (job.last_verdict == 'queued') == is_release then
    return {'already', job.last_verdict}
  end
  if job.state ~= 'running' or job.fence ~= fence then
    return {'fenced'}
  end
  return nil
end

-- id, fence, succeeded | failed | retry, result or error code, error detail, max_failures, delay_ms
-- -> {succeeded | failed | retry | already (and the first verdict) | fenced | gone}
-- The delay doubles with each failure.
local function finish(keys, args)
  local p, fence, outcome = keys[1], args[2], args[3]
  local max_failures, delay_ms = tonumber(args[6]), tonumber(args[7])
  local job = read_job(p, args[1])
  local refused = refusal(job, fence, false)
  if refused then
    return refused
  end
  local now = now_ms()
  leave_running(p, job)
  if outcome == 'succeeded' then
    write_job(p, job, 'result', args[4])
    end_job(p, job, now, 'succeeded')
  else
    local failures = job.failures + 1
    write_job(p, job, 'failures', failures)
    if outcome == 'retry' and failures < max_failures then
      write_job(p, job, 'state', 'delayed')
      redis.call('ZADD', p .. 'delayed', text(now + delay_ms * 2 ^ (failures - 1)), job.id)
      emit(p, now, job.id, 'job.retrying')
    else
      outcome = 'failed'
      write_job(p, job, 'error_code', args[4], 'error_detail', args[5])
      end_job(p, job, now, 'failed')
    end
  end
  write_job(p, job, 'last_fence', fence, 'last_verdict', outcome)
  return {outcome}
end

-- id, fence -> {queued | already | fenced | gone}; the delivery is taken back
local function release(keys, args)
  local p, fence = keys[1], args[2]
  local job = read_job(p, args[1])
  local refused = refusal(job, fence, true)
  if refused then
    return refused
  end
  local now = now_ms()
  leave_running(p, job)
  write_job(p, job, 'deliveries', job.deliveries - 1, 'last_fence', fence, 'last_verdict', 'queued')
  to_waiting(p, job, now)
  emit(p, now, job.id, 'job.requeued')
  return {'queued'}
end

-- Nobody reaped for long (an outage) or the clock jumped: not the jobs' fault, so every lease starts again.
local function forgive_outage(p, now, lease_ms)
  local last = tonumber(redis.call('GET', p .. 'reaped_at'))
  redis.call('SET', p .. 'reaped_at', text(now))
  if last and math.abs(now - last) <= lease_ms / 2 then
    return
  end
  for _, id in ipairs(redis.call('ZRANGE', p .. 'leases', 0, -1)) do
    redis.call('ZADD', p .. 'leases', text(now + lease_ms), id)
  end
end

-- Pictures first, the record a week later.
local function collect(p, id, now)
  local job = read_job(p, id)
  if job.expired then
    redis.call('DEL', p .. 'job:' .. id)
    redis.call('ZREM', p .. 'gc', id)
  else
    write_job(p, job, 'expired', 1)
    redis.call('ZADD', p .. 'gc', text(now + RECORD_KEPT_MS), id)
    redis.call('SADD', p .. 'deletable', id)
    emit(p, now, id, 'job.expired')
  end
end

-- limit, lease_ms, max_deliveries, then ids whose pictures the caller has deleted
-- -> {requeued, failed, due again, collected, ids whose pictures may be deleted}
-- An id is named again until a caller has said that its pictures are gone, so that a lost answer loses nothing.
local function reap(keys, args)
  local p, left, lease_ms, max_deliveries = keys[1], tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local now = now_ms()
  local requeued, failed, again, collected = 0, 0, 0, 0
  local limit = left
  local function due(key)
    local ids = redis.call('ZRANGEBYSCORE', p .. key, '-inf', text(now), 'LIMIT', 0, left)
    left = left - #ids
    return ids
  end
  for i = 4, #args do
    redis.call('SREM', p .. 'deletable', args[i])
  end
  forgive_outage(p, now, lease_ms)
  for _, id in ipairs(due('leases')) do
    if lose_delivery(p, read_job(p, id), now, max_deliveries) then
      failed = failed + 1
    else
      requeued = requeued + 1
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
  return {requeued, failed, again, collected, redis.call('SRANDMEMBER', p .. 'deletable', limit)}
end

-- -> {queued, running, ms that the oldest has waited}
local function stats(keys, _)
  local p = keys[1]
  local queued, oldest_wait_ms = redis.call('ZCARD', p .. 'delayed'), 0
  for _, line in ipairs({READY, 'suspects'}) do
    queued = queued + redis.call('ZCARD', p .. line)
    local first = redis.call('ZRANGE', p .. line, 0, 0)[1]
    if first then
      oldest_wait_ms = math.max(oldest_wait_ms, now_ms() - read_job(p, first).created_ms)
    end
  end
  return {queued, redis.call('ZCARD', p .. 'leases'), oldest_wait_ms}
end

-- A full server refuses new jobs only: what empties it must go on.
redis.register_function('q1_enqueue', enqueue)
redis.register_function{function_name = 'q1_claim', callback = claim, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_heartbeat', callback = heartbeat, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_finish', callback = finish, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_release', callback = release, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_reap', callback = reap, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_stats', callback = stats, flags = {'no-writes', 'allow-oom'}}
