-- A job's record, and the sums over all jobs.
--
-- job:<id> hash    state is queued, delayed (queued with a pause before), running, succeeded, failed or cancelled;
--                  cancel is why a running job is no longer wanted: client or deadline, the first of them stays;
--                  erase is set once its client wants it forgotten: from then on it is there for its end only;
--                  hook is there while somebody is to be told of it; trace is the traceparent that it continues;
--                  not_for has the names of the code that can't read its request, of older versions than wrote it
-- history:<id> stream
--                  its newest changes of state as 0-1, 0-2, ..., each with what a client then saw of it
-- listed:<tenant> zset
--                  the tenant's jobs by seq, but for those that are being erased
-- live hash        jobs that have not ended as tenant:<name>, of all as `*`; row-steps as cost:queued:<class>,
--                  cost:running
-- deadlines zset   every job that has not ended, by ms of its deadline, later once a running one has been flagged
-- ends hash        how many jobs have ended as succeeded, cancelled, failed, deadline_exceeded, attempts_exhausted, ever
-- gc dead zsets    ended jobs, by ms: when pictures and then the record go; whose deliveries were used up
-- events stream    the outbox
-- changes channel  JSON of what has just been written there: type, job or batch, and with a job's end what clients see
--                  of it then; a hint, as nothing of a channel is kept
-- cancel channel   a running job is no longer wanted

local NUMBERS = {
  'rows', 'cost', 'created_ms', 'retention_ms', 'deadline_ms', 'forecast_ms', 'deliveries', 'failures',
  'suspect_since', 'moved_ms',
}
local FIELDS = {
  'state', 'tenant', 'class', 'seq', 'request', 'fence', 'owner', 'suspect', 'stage', 'step', 'cancel', 'last_fence',
  'last_verdict', 'expired', 'key_digest', 'erase', 'batch', 'trace',
  'not_for',
}
-- What changes during a job's life and is shown to clients.
local SHOWN = {
  'state', 'cancel', 'deliveries', 'started_ms', 'ended_ms', 'expires_ms', 'retry_ms', 'stage', 'step', 'result',
  'error_code', 'error_detail',
}
local MAX_HISTORY = 64
-- Ends that are the queue's doing, not a worker's.
local OWN_KINDS = {deadline_exceeded = true, attempts_exhausted = true}
-- The batches' part of a job's end, in batch_books.lua.
local end_in_batch

for i = 1, #NUMBERS do
  FIELDS[#FIELDS + 1] = NUMBERS[i]
end

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
  for _, field in ipairs(NUMBERS) do
    job[field] = tonumber(job[field] or nil)
  end
  return job
end

-- Whether there is such a job for the tenant.
local function is_shown(job, tenant)
  return job.state and job.tenant == tenant and not job.erase
end

local function write_job(p, job, ...)
  redis.call('HSET', p .. 'job:' .. job.id, ...)
end

-- `shown` goes with an end, else nil.
local function announce_as(p, now, what, id, kind, shown, ...)
  redis.call('XADD', p .. 'events', '*', 'type', kind, what, id, 'at', text(now), ...)
  redis.call('PUBLISH', p .. 'changes', cjson.encode({[what] = id, type = kind, shown = shown}))
end

local function announce(p, now, id, kind, shown, ...)
  announce_as(p, now, 'job', id, kind, shown, ...)
end

-- A change of state, after everything about it has been written: kept in the job's own history, and announced. With an
-- end, whoever waits is told what the job has become, and need not ask.
local function emit(p, now, id, kind, is_end)
  local shown = {}
  for i, value in ipairs(redis.call('HMGET', p .. 'job:' .. id, unpack(SHOWN))) do
    if value then
      shown[#shown + 1] = SHOWN[i]
      shown[#shown + 1] = value
    end
  end
  local change = redis.call('XADD', p .. 'history:' .. id, 'MAXLEN', MAX_HISTORY, '0-*', unpack(shown))
  announce(p, now, id, kind, is_end and shown or nil, 'change', change)
end

-- Add to a sum over jobs.
local function count(p, sum, number)
  return redis.call('HINCRBY', p .. 'live', sum, text(number))
end

-- The name of a tenant's sum: one that no tenant can take for another sum.
local function sum_of(tenant)
  return 'tenant:' .. tenant
end

-- Whether a process of this code has already said that it can't read what a job, or batch, asks for.
local function is_beyond(not_for, code)
  return code ~= '' and not_for and string.find(not_for, code, 1, true)
end

-- One more name in `not_for` of a job's or batch's record; no name is nobody's.
local function leave_to_others(key, not_for, code)
  if code ~= '' and not is_beyond(not_for, code) then
    redis.call('HSET', key, 'not_for', (not_for and not_for .. ' ' or '') .. code)
  end
end

-- Why a job that has not ended is no longer wanted: client, deadline, or nil if it still is.
local function cause_of(job, now)
  return job.cancel or (now >= job.deadline_ms and 'deadline') or nil
end

local function flag(p, job, now, cause)
  write_job(p, job, 'cancel', cause)
  if cause == 'client' then
    emit(p, now, job.id, 'job.cancelling')
  end
  redis.call('PUBLISH', p .. 'cancel', job.id)
end

-- `kind` says how a job has failed, where its state alone does not.
local function end_job(p, job, now, state, kind)
  local expires = text(now + job.retention_ms)
  write_job(p, job, 'state', state, 'ended_ms', text(now), 'expires_ms', expires)
  redis.call('HINCRBY', p .. 'ends', kind or state, 1)
  count(p, '*', -1)
  if count(p, sum_of(job.tenant), -1) == 0 then
    redis.call('HDEL', p .. 'live', sum_of(job.tenant))
  end
  redis.call('ZREM', p .. 'deadlines', job.id)
  -- What is to be erased goes with the next reap; whoever ended it may still be writing to its record.
  redis.call('ZADD', p .. 'gc', job.erase and text(now) or expires, job.id)
  -- What is to be erased is shown to nobody any more.
  emit(p, now, job.id, 'job.' .. state, not job.erase)
  if job.batch then
    end_in_batch(p, job, now, state)
  end
end

local function fail(p, job, now, code, detail)
  write_job(p, job, 'error_code', code, 'error_detail', detail)
  end_job(p, job, now, 'failed', OWN_KINDS[code] and code)
end

-- As the cause says; returns the verdict.
local function end_unwanted(p, job, now, cause)
  if cause == 'client' then
    end_job(p, job, now, 'cancelled')
    return 'cancelled'
  end
  fail(p, job, now, 'deadline_exceeded', 'the job had not ended by its deadline')
  return 'expired'
end

-- Everything that is kept of an ended job, but for its pictures.
local function forget(p, job)
  redis.call('DEL', p .. 'job:' .. job.id, p .. 'history:' .. job.id)
  redis.call('ZREM', p .. 'gc', job.id)
  redis.call('ZREM', p .. 'dead', job.id)
  redis.call('ZREM', p .. 'listed:' .. job.tenant, job.id)
  local key = job.key_digest and p .. 'idem:' .. job.tenant .. ':' .. job.key_digest
  if key and redis.call('HGET', key, 'job') == job.id then
    redis.call('DEL', key)
  end
end
