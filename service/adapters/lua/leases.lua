
-- The worker's functions: claim, heartbeat, finish, release, and the burial of its predecessor.
--
-- leases zset            running jobs, by ms when the lease ends
-- fence                  the number of the last delivery of any job
-- claim:<worker> hash    its last claim that gave jobs: number and answer
-- alone hash             worker -> the suspect that it runs; until that ends it gets nothing else
-- latencies list         of the jobs that have lately ended well: class, ms from acceptance to end, ms when it ended,
--                        rows
-- hold hash              the one worker that is being emptied for a suspect, and until when

local SUSPECT_PATIENCE_MS = 5000
local MAX_RATIOS = 512
local MAX_LATENCIES = 200
-- One claim ends or puts off so many jobs at most, so that it stays short; the rest is for the next, or for upkeep.
local MAX_PASSED = 100

local function leave_running(p, job)
  redis.call('ZREM', p .. 'leases', job.id)
  if job.suspect == '1' then
    redis.call('HDEL', p .. 'alone', job.owner)
  end
  count(p, 'cost:running', -job.cost)
end

-- The books of a job that waits again; its place, in line or in a pause, is the caller's.
local function note_waiting(p, job, now, kind)
  count(p, 'cost:queued:' .. job.class, job.cost)
  emit(p, now, job.id, kind)
end

-- A delivery is lost: it went silent or stalled, or its worker has ended; the job may be the cause. Returns whether the
-- job has ended.
local function lose_delivery(p, job, now, max_deliveries)
  leave_running(p, job)
  local cause = cause_of(job, now)
  if cause then
    end_unwanted(p, job, now, cause)
    return true
  end
  if job.deliveries >= max_deliveries then
    redis.call('ZADD', p .. 'dead', text(now), job.id)
    fail(p, job, now, 'attempts_exhausted', 'no worker finished the job in ' .. job.deliveries .. ' deliveries')
    return true
  end
  job.suspect = '1'
  to_waiting(p, job, now)
  note_waiting(p, job, now, 'job.requeued')
  return false
end

-- A suspect that has waited too long empties one worker; the others go on.
local function must_hold(p, worker, suspect, lease_ms, now)
  -- Of a clock that has been set back, a moment to come is long ago.
  if math.abs(now - suspect.suspect_since) <= SUSPECT_PATIENCE_MS then
    return false
  end
  local holder = redis.call('HMGET', p .. 'hold', 'worker', 'until_ms')
  if holder[1] and holder[1] ~= worker and tonumber(holder[2]) > now then
    return false
  end
  redis.call('HSET', p .. 'hold', 'worker', worker, 'until_ms', text(now + lease_ms))
  return true
end

local function first_suspect(p)
  local id = redis.call('ZRANGE', p .. 'suspects', 0, 0)[1]
  local job = id and read_job(p, id)
  if job and not job.state then
    redis.call('ZREM', p .. 'suspects', id)
    return first_suspect(p)
  end
  return job
end

-- Nobody gets it for so long.
local function pause(p, job, now, ms)
  local due_ms = text(now + ms)
  write_job(p, job, 'state', 'delayed', 'retry_ms', due_ms)
  redis.call('ZADD', p .. 'delayed', due_ms, job.id)
end

-- The next job that is still wanted and that the asking worker can do, by `find`. Before it, as far as `asking.passes`
-- goes, the overdue are ended; what is beyond the worker is put off, and as that was announced once, nobody is told.
local function next_wanted(p, find, asking, now)
  local job = find(p)
  while job do
    local cause = cause_of(job, now)
    if not cause and not is_beyond(job.not_for, asking.code) then
      return job
    end
    if asking.passes == 0 then
      return nil
    end
    asking.passes = asking.passes - 1
    leave_waiting(p, job)
    if cause then
      end_unwanted(p, job, now, cause)
    else
      pause(p, job, now, asking.aside_ms)
      count(p, 'cost:queued:' .. job.class, job.cost)
    end
    job = find(p)
  end
  return nil
end

local function start(p, job, worker, lease_ms, now)
  local fence = redis.call('INCR', p .. 'fence')
  leave_waiting(p, job)
  count(p, 'cost:running', job.cost)
  write_job(p, job, 'state', 'running', 'fence', fence, 'owner', worker, 'deliveries', job.deliveries + 1,
    'started_ms', text(now), 'moved_ms', text(now), 'stage', '', 'step', 0)
  if job.suspect == '1' then
    redis.call('HSET', p .. 'alone', worker, job.id)
  end
  redis.call('ZADD', p .. 'leases', text(now + lease_ms), job.id)
  emit(p, now, job.id, 'job.started')
  return {
    id = job.id, fence = fence, request = job.request, is_suspect = job.suspect == '1', class = job.class,
    waited_ms = now - job.created_ms, left_ms = job.deadline_ms - now, attempt = job.deliveries + 1,
    trace = job.trace or '',
  }
end

-- What this worker gets, in its order, and whether it is being emptied. The first that does not fit ends the choice:
-- smaller ones behind it must not starve it. An empty worker takes any job, also one of more rows than it ever has
-- free: it has room for the largest.
local function give(p, worker, free_rows, running, lease_ms, asking, now)
  if free_rows < 1 or redis.call('HEXISTS', p .. 'alone', worker) == 1 then
    return {}, false
  end
  local suspect = next_wanted(p, first_suspect, asking, now)
  if suspect and running == 0 then
    redis.call('DEL', p .. 'hold')
    return {start(p, suspect, worker, lease_ms, now)}, false
  end
  if suspect and must_hold(p, worker, suspect, lease_ms, now) then
    return {}, true
  end
  local given = {}
  local job = next_wanted(p, next_job, asking, now)
  while job and (job.rows <= free_rows or (running == 0 and #given == 0)) do
    free_rows = free_rows - job.rows
    charge(p, job)
    given[#given + 1] = start(p, job, worker, lease_ms, now)
    job = free_rows > 0 and next_wanted(p, next_job, asking, now)
  end
  return given, false
end

-- worker incarnation, claim number, free rows, running jobs, lease_ms, name of its code, ms for which a job that this
-- code can't read waits
-- -> JSON {hold, jobs, more: jobs may be behind those that were passed over}
-- A claim that gave jobs is remembered for two leases: its number repeated gives the same answer.
local function claim(keys, args)
  local p, worker, number = keys[1], args[1], args[2]
  local free_rows, running, lease_ms = tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
  local memory = p .. 'claim:' .. worker
  local last = redis.call('HMGET', memory, 'number', 'answer')
  if last[1] == number then
    return last[2]
  end
  local asking = {passes = MAX_PASSED, code = args[6] or '', aside_ms = tonumber(args[7] or 0)}
  local jobs, is_held = give(p, worker, free_rows, running, lease_ms, asking, now_ms())
  local answer = cjson.encode({hold = is_held, jobs = jobs, more = asking.passes == 0})
  if #jobs > 0 then
    redis.call('HSET', memory, 'number', number, 'answer', answer)
    redis.call('PEXPIRE', memory, text(2 * lease_ms))
  end
  return answer
end

-- ok, or cancel: the lease goes on so that the worker can end the job; lost: nothing on this worker has moved for
-- too long.
local function keep(p, job, stage, step, has_moved, lease_ms, stall_ms, max_deliveries, now)
  -- A move in time to come is of a clock that has been set back: the job has moved now.
  if has_moved or job.moved_ms > now then
    write_job(p, job, 'stage', stage, 'step', step, 'moved_ms', text(now))
  elseif now - job.moved_ms > stall_ms then
    lose_delivery(p, job, now, max_deliveries)
    return 'lost'
  end
  redis.call('ZADD', p .. 'leases', text(now + lease_ms), job.id)
  local cause = cause_of(job, now)
  if cause and not job.cancel then
    flag(p, job, now, cause)
  end
  return cause and 'cancel' or 'ok'
end

-- lease_ms, stall_ms, max_deliveries, then id, fence, stage, step of each job of a worker -> ok | cancel | lost for
-- each. What moves is the worker's device: a job that waits there while another one runs is not stalled.
local function heartbeat(keys, args)
  local p, lease_ms, stall_ms, max_deliveries = keys[1], tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local now = now_ms()
  local held, has_moved = {}, false
  for i = 4, #args, 4 do
    local job = read_job(p, args[i])
    if job.state == 'running' and job.fence == args[i + 1] then
      held[i] = job
      has_moved = has_moved or job.stage ~= args[i + 2] or job.step ~= args[i + 3]
    end
  end
  local verdicts = {}
  for i = 4, #args, 4 do
    verdicts[#verdicts + 1] = held[i]
      and keep(p, held[i], args[i + 2], args[i + 3], has_moved, lease_ms, stall_ms, max_deliveries, now)
      or 'lost'
  end
  return verdicts
end

-- What an end without the right to it is answered: the job is gone, this delivery has already ended the same way,
-- or another delivery has the right. Nil if the job is running under this fence.
local function refusal(job, fence, is_release)
  if not job.state then
    return {'gone'}
  end
  local last = job.last_verdict
  local is_repeat = last == 'cancelled' or last == 'expired' or (last == 'queued') == is_release
  if job.last_fence == fence and is_repeat then
    return {'already', last}
  end
  if job.state ~= 'running' or job.fence ~= fence then
    return {'fenced'}
  end
  return nil
end

local function succeed(p, job, now, result)
  write_job(p, job, 'result', result)
  if job.forecast_ms > 0 then
    redis.call('RPUSH', p .. 'forecast_ratios', string.format('%.6g', (now - job.created_ms) / job.forecast_ms))
    redis.call('LTRIM', p .. 'forecast_ratios', -MAX_RATIOS, -1)
  end
  local latency = {job.class, text(now - job.created_ms), text(now), text(job.rows)}
  redis.call('RPUSH', p .. 'latencies', table.concat(latency, ' '))
  redis.call('LTRIM', p .. 'latencies', -MAX_LATENCIES, -1)
  end_job(p, job, now, 'succeeded')
  return 'succeeded'
end

-- Back for another try, after a pause that doubles with each failure, while any try is left.
local function retry_or_fail(p, job, now, may_retry, error, limits)
  local failures = job.failures + 1
  write_job(p, job, 'failures', failures)
  if may_retry and failures < limits.failures and job.deliveries < limits.deliveries then
    pause(p, job, now, limits.delay_ms * 2 ^ (failures - 1))
    note_waiting(p, job, now, 'job.retrying')
    return 'retry'
  end
  fail(p, job, now, error.code, error.detail)
  return 'failed'
end

-- id, fence, succeeded | failed | retry | cancelled, result or error code, error detail, max_failures, delay_ms,
-- max_deliveries
-- -> {succeeded | failed | retry | cancelled | expired | already (and the first verdict) | fenced | gone}
-- A job that is no longer wanted ends so, whatever its worker says; a worker's own wish cancels nothing.
local function finish(keys, args)
  local p, fence, outcome = keys[1], args[2], args[3]
  local now = now_ms()
  local job = read_job(p, args[1])
  local refused = refusal(job, fence, false)
  if refused then
    return refused
  end
  local cause, verdict = cause_of(job, now), nil
  if outcome == 'cancelled' and not cause then
    return {'fenced'}
  end
  leave_running(p, job)
  if cause then
    verdict = end_unwanted(p, job, now, cause)
  elseif outcome == 'succeeded' then
    verdict = succeed(p, job, now, args[4])
  else
    local limits = {
      failures = tonumber(args[6]), delay_ms = tonumber(args[7]), deliveries = tonumber(args[8]),
    }
    verdict = retry_or_fail(p, job, now, outcome == 'retry', {code = args[4], detail = args[5]}, limits)
  end
  write_job(p, job, 'last_fence', fence, 'last_verdict', verdict)
  return {verdict}
end

-- id, fence, ms for which nobody gets it or nothing, name of the code that can't read it or nothing
-- -> {queued | cancelled | expired | already | fenced | gone}; the delivery is taken back
local function release(keys, args)
  local p, fence, pause_ms, code = keys[1], args[2], tonumber(args[3] or 0), args[4] or ''
  local now = now_ms()
  local job = read_job(p, args[1])
  local refused = refusal(job, fence, true)
  if refused then
    return refused
  end
  leave_running(p, job)
  local cause, verdict = cause_of(job, now), 'queued'
  if cause then
    verdict = end_unwanted(p, job, now, cause)
  else
    write_job(p, job, 'deliveries', job.deliveries - 1)
    leave_to_others(p .. 'job:' .. job.id, job.not_for, code)
    if pause_ms > 0 then
      refund(p, job)
      pause(p, job, now, pause_ms)
      note_waiting(p, job, now, 'job.retrying')
    else
      to_waiting(p, job, now)
      note_waiting(p, job, now, 'job.requeued')
    end
  end
  write_job(p, job, 'last_fence', fence, 'last_verdict', verdict)
  return {verdict}
end

-- name, max_deliveries, lease_ms, age_ms -> how many jobs no longer run, or -1
-- Of a worker that has ended, as its successor of the same name knows: its jobs don't wait for their leases to run
-- out. Has one of them been renewed since that successor began, age_ms ago, its worker lives, and two have one name:
-- then nothing changes. Of the others' jobs, which may be many, no more than the owner is read.
local function bury(keys, args)
  local p, prefix, max_deliveries = keys[1], args[1] .. ':', tonumber(args[2])
  local now, held = now_ms(), {}
  -- A lease that ends later was renewed since; a worker of an earlier version does not tell its age.
  local dead_until = args[4] and now + tonumber(args[3]) - tonumber(args[4]) or math.huge
  local leases = redis.call('ZRANGE', p .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local owner = redis.call('HGET', p .. 'job:' .. leases[i], 'owner')
    if owner and string.sub(owner, 1, #prefix) == prefix then
      if tonumber(leases[i + 1]) > dead_until then
        return -1
      end
      held[#held + 1] = leases[i]
    end
  end
  for _, id in ipairs(held) do
    lose_delivery(p, read_job(p, id), now, max_deliveries)
  end
  return #held
end

redis.register_function{function_name = 'q1_claim', callback = claim, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_heartbeat', callback = heartbeat, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_finish', callback = finish, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_release', callback = release, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_bury', callback = bury, flags = {'allow-oom'}}
