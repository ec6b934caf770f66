
-- The gateway's other functions: what a job has gone through, which jobs a tenant has, and how one is forgotten.

local MAX_LOOKED_AT = 500
local LOOKED_AT_ONCE = 100

-- id, tenant, number of the change after which, or '' for the last two
-- -> {} if there is none, else {fields and values, jobs and row-steps before it, newest change, changes in their order}
-- A change is {0-<number>, fields and values}.
local function history(keys, args)
  local p, after = keys[1], args[3]
  local job = read_job(p, args[1])
  if not is_shown(job, args[2]) then
    return {}
  end
  local name = p .. 'history:' .. job.id
  local last = redis.call('XREVRANGE', name, '+', '-', 'COUNT', 2)
  local changes = {last[2], last[1]}
  if after ~= '' then
    changes = redis.call('XRANGE', name, '(0-' .. after, '+')
  elseif #last < 2 then
    changes = last
  end
  local view = view_of(p, job)
  view[#view + 1] = last[1] and last[1][1] or '0-0'
  view[#view + 1] = changes
  return view
end

local function status_of(job)
  if job.state == 'delayed' then
    return 'queued'
  end
  return job.state == 'running' and job.cancel == 'client' and 'cancelling' or job.state
end

-- tenant, status or '' for all, batch or '' for all, seq before which or '' for the newest, limit
-- -> {the seq to go on before or '', for each job {id, fields and values, jobs and row-steps before it}}
-- A rare status may be told in several answers of less than the limit, as one call stays short.
local function list(keys, args)
  local p, status, batch, before, limit = keys[1], args[2], args[3], args[4], tonumber(args[5])
  local index = p .. 'listed:' .. args[1]
  local found, left = {}, MAX_LOOKED_AT
  while #found < limit and left > 0 do
    local bound = before == '' and '+inf' or '(' .. before
    local ids = redis.call('ZREVRANGEBYSCORE', index, bound, '-inf', 'WITHSCORES', 'LIMIT', 0, LOOKED_AT_ONCE)
    if #ids == 0 then
      return {'', found}
    end
    for i = 1, #ids, 2 do
      local job = read_job(p, ids[i])
      before, left = ids[i + 1], left - 1
      if job.state and (status == '' or status_of(job) == status) and (batch == '' or job.batch == batch) then
        found[#found + 1] = {job.id, unpack(view_of(p, job))}
      end
      if #found == limit then
        break
      end
    end
  end
  local is_more = redis.call('ZCOUNT', index, '-inf', '(' .. before) > 0
  return {is_more and before or '', found}
end

-- id, tenant -> erased | erasing: it is ended first, and the reap after its end erases it | notfound
-- Its pictures are named to upkeep, so that nobody need be there to delete them.
local function erase(keys, args)
  local p, now = keys[1], now_ms()
  local job = read_job(p, args[1])
  if not job.state or job.tenant ~= args[2] then
    return 'notfound'
  end
  if job.erase then
    return 'erasing'
  end
  stop_hooks(p, 'job:' .. job.id)
  if job.state ~= 'queued' and job.state ~= 'delayed' and job.state ~= 'running' then
    redis.call('SADD', p .. 'deletable', job.id)
    forget(p, job)
    return 'erased'
  end
  job.erase = '1'
  write_job(p, job, 'erase', 1)
  redis.call('ZREM', p .. 'listed:' .. job.tenant, job.id)
  if job.state ~= 'running' then
    leave_waiting(p, job)
    end_unwanted(p, job, now, cause_of(job, now) or 'client')
  elseif not job.cancel then
    flag(p, job, now, cause_of(job, now) or 'client')
  end
  return 'erasing'
end

-- -> entries of `latencies`, oldest first
local function latencies(keys, _)
  return redis.call('LRANGE', keys[1] .. 'latencies', 0, -1)
end

redis.register_function{function_name = 'q1_latencies', callback = latencies, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_history', callback = history, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_list', callback = list, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_erase', callback = erase, flags = {'allow-oom'}}
