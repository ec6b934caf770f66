
-- The lines of queued jobs: one for each class and tenant, and who is next.
-- Not here: what a worker can take.
--
-- ready:<class>:<tenant> zset   its queued jobs by seq, which a job keeps for life
-- suspects zset                 those that must run alone, of all classes, by seq: a delivery of theirs was lost
-- delayed zset                  jobs that wait for their next try, by ms when it is due
-- tenants:<class> zset          tenants with such a line, by virtual time: row-steps given to them over their weight
-- rested:<class> zset           likewise those without, as long as they are ahead of their class
-- weight hash                   tenant -> its share, 1 unless set
-- turns hash                    class -> its virtual time: that of the tenant served last;
--                               credit -> interactive rows given since batch had its turn
-- wake channel                  a job has become claimable

-- Each tenth row is a batch job's.
local ROWS_BEFORE_BATCH = 9
-- So many of the jobs before one are summed exactly, the others at the average, which bounds a read.
local MAX_SUMMED = 32

local function line_of(job)
  return 'ready:' .. job.class .. ':' .. job.tenant
end

local function weight_of(p, tenant)
  return tonumber(redis.call('HGET', p .. 'weight', tenant) or 1)
end

local function virtual_time(p, class)
  return tonumber(redis.call('HGET', p .. 'turns', class) or 0)
end

local function set_virtual_time(p, zset, job, time)
  redis.call('ZADD', p .. zset .. ':' .. job.class, string.format('%.17g', time), job.tenant)
end

-- A tenant that wakes joins at the present: it is neither paid for its rest nor rid of what it had more than others.
local function enter_line(p, job)
  redis.call('ZADD', p .. line_of(job), job.seq, job.id)
  if redis.call('ZSCORE', p .. 'tenants:' .. job.class, job.tenant) then
    return
  end
  local own = tonumber(redis.call('ZSCORE', p .. 'rested:' .. job.class, job.tenant) or 0)
  redis.call('ZREM', p .. 'rested:' .. job.class, job.tenant)
  set_virtual_time(p, 'tenants', job, math.max(own, virtual_time(p, job.class)))
end

local function leave_line(p, job)
  redis.call('ZREM', p .. line_of(job), job.id)
  if redis.call('EXISTS', p .. line_of(job)) == 1 then
    return
  end
  local own = tonumber(redis.call('ZSCORE', p .. 'tenants:' .. job.class, job.tenant))
  redis.call('ZREM', p .. 'tenants:' .. job.class, job.tenant)
  if own > virtual_time(p, job.class) then
    set_virtual_time(p, 'rested', job, own)
  end
end

-- To its first place: among the ready, or among those that must run alone.
local function to_waiting(p, job, now)
  if job.suspect == '1' then
    write_job(p, job, 'state', 'queued', 'suspect', '1', 'suspect_since', text(now))
    redis.call('ZADD', p .. 'suspects', job.seq, job.id)
  else
    write_job(p, job, 'state', 'queued')
    enter_line(p, job)
  end
  redis.call('PUBLISH', p .. 'wake', job.id)
end

-- Out of wherever a queued or delayed job stands.
local function leave_waiting(p, job)
  if job.state == 'delayed' then
    redis.call('ZREM', p .. 'delayed', job.id)
  elseif job.suspect == '1' then
    redis.call('ZREM', p .. 'suspects', job.id)
  else
    leave_line(p, job)
  end
  count(p, 'cost:queued:' .. job.class, -job.cost)
end

-- The class whose turn it is, or nil if nobody waits. Where only one waits it gets everything.
local function next_class(p)
  local has_interactive = redis.call('EXISTS', p .. 'tenants:interactive') == 1
  if redis.call('EXISTS', p .. 'tenants:batch') == 0 then
    return has_interactive and 'interactive' or nil
  end
  local credit = tonumber(redis.call('HGET', p .. 'turns', 'credit') or 0)
  return has_interactive and credit < ROWS_BEFORE_BATCH and 'interactive' or 'batch'
end

-- The next job of all lines, or nil.
local function next_job(p)
  local class = next_class(p)
  if not class then
    return nil
  end
  local place = {class = class, tenant = redis.call('ZRANGE', p .. 'tenants:' .. class, 0, 0)[1]}
  place.id = redis.call('ZRANGE', p .. line_of(place), 0, 0)[1]
  local job = read_job(p, place.id)
  if job.state then
    return job
  end
  -- An entry without a record must not stop all claims.
  leave_line(p, place)
  return next_job(p)
end

local function count_turn(p, job)
  local credit = tonumber(redis.call('HGET', p .. 'turns', 'credit') or 0)
  if job.class == 'interactive' then
    credit = credit + job.rows
    if redis.call('EXISTS', p .. 'tenants:batch') == 0 then
      credit = math.min(credit, ROWS_BEFORE_BATCH)
    end
  elseif redis.call('EXISTS', p .. 'tenants:interactive') == 1 then
    credit = credit - ROWS_BEFORE_BATCH * job.rows
  end
  redis.call('HSET', p .. 'turns', 'credit', credit)
end

-- What `next_job` has named is served: its tenant and its class pay for it.
local function charge(p, job)
  local tenants = p .. 'tenants:' .. job.class
  local present = redis.call('ZSCORE', tenants, job.tenant)
  redis.call('HSET', p .. 'turns', job.class, present)
  redis.call('ZREMRANGEBYSCORE', p .. 'rested:' .. job.class, '-inf', present)
  set_virtual_time(p, 'tenants', job, present + job.cost / weight_of(p, job.tenant))
  count_turn(p, job)
end

-- What `charge` took from its tenant, for a delivery in which nothing was done; a suspect was not charged.
local function refund(p, job)
  for _, zset in ipairs({'tenants', 'rested'}) do
    local own = job.suspect ~= '1' and redis.call('ZSCORE', p .. zset .. ':' .. job.class, job.tenant)
    if own then
      set_virtual_time(p, zset, job, own - job.cost / weight_of(p, job.tenant))
    end
  end
end

-- Row-steps of a line's first jobs.
local function cost_of_first(p, line, num_jobs, average)
  local num_summed = math.min(num_jobs, MAX_SUMMED)
  local cost = (num_jobs - num_summed) * average
  if num_summed > 0 then
    for _, id in ipairs(redis.call('ZRANGE', p .. line, 0, num_summed - 1)) do
      cost = cost + (redis.call('HGET', p .. 'job:' .. id, 'cost') or 0)
    end
  end
  return cost
end

-- Row-steps of the other lines that are served before a job which has `own` row-steps of its own line before it. An
-- estimate: the other tenants are taken to have weight 1 and long lines, as far as what waits in the class allows.
local function cost_of_others(p, job, own, behind, queued)
  local num_others = redis.call('ZCARD', p .. 'tenants:' .. job.class) - 1
  local lead = redis.call('ZSCORE', p .. 'tenants:' .. job.class, job.tenant) - virtual_time(p, job.class)
  local turns = num_others * (own / weight_of(p, job.tenant) + lead)
  local others = math.min(turns, math.max(0, queued[job.class] - own - job.cost - behind))
  if job.class == 'interactive' then
    return others + math.min(queued.batch, (own + others) / ROWS_BEFORE_BATCH)
  end
  return others + math.min(queued.interactive, (own + others + job.cost) * ROWS_BEFORE_BATCH)
end

-- A queued job's place: jobs and row-steps that are served before it. Exact for one tenant alone, as far as
-- MAX_SUMMED; else an estimate.
local function ahead_of(p, job)
  local sums = redis.call('HMGET', p .. 'live', 'cost:queued:interactive', 'cost:queued:batch', '*')
  local queued = {interactive = tonumber(sums[1] or 0), batch = tonumber(sums[2] or 0)}
  local num_queued = sums[3] - redis.call('ZCARD', p .. 'leases')
  local average = (queued.interactive + queued.batch) / num_queued
  local line = job.suspect == '1' and 'suspects' or line_of(job)
  local rank = redis.call('ZRANK', p .. line, job.id)
  local own = cost_of_first(p, line, rank, average)
  local others = 0
  if job.suspect ~= '1' then
    local behind = (redis.call('ZCARD', p .. line) - rank - 1) * average
    others = cost_of_others(p, job, own, behind, queued)
  end
  return rank + math.floor(others / average + 0.5), math.floor(own + others + 0.5)
end

-- {the record's fields and values, jobs and row-steps before it}
local function view_of(p, job)
  local record = redis.call('HGETALL', p .. 'job:' .. job.id)
  if job.state ~= 'queued' then
    return {record, 0, 0}
  end
  return {record, ahead_of(p, job)}
end
