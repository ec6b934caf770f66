
-- The gateway's functions: room, enqueue, cancel, read, stats; and a tenant's weight.
--
-- idem:<tenant>:<digest> hash   the job that stands for a client's key, and the fingerprint of what it asked for
-- seq                           the place in line given last
-- forecast_ratios list          actual over forecast time of the jobs that have lately ended well

local KEY_KEPT_MS = 86400 * 1000

local function name_of_key(p, tenant, digest)
  return p .. 'idem:' .. tenant .. ':' .. digest
end

-- What stands for a client's key, as an answer; nil if nothing does.
local function known_by_key(p, tenant, digest, fingerprint)
  local known = redis.call('HMGET', name_of_key(p, tenant, digest), 'job', 'fingerprint')
  if digest ~= '' and known[1] then
    return {known[2] == fingerprint and 'dup' or 'mismatch', known[1]}
  end
  return nil
end

local function keep_key(p, tenant, digest, id, fingerprint)
  if digest ~= '' then
    local key = name_of_key(p, tenant, digest)
    redis.call('HSET', key, 'job', id, 'fingerprint', fingerprint)
    redis.call('PEXPIRE', key, KEY_KEPT_MS)
  end
end

-- Why the queue takes no more jobs of this tenant now: full, quota, or nil if it does.
local function lack_of_room(p, tenant, max_live, max_tenant_live)
  local live = redis.call('HMGET', p .. 'live', '*', sum_of(tenant))
  if tonumber(live[1] or 0) >= max_live then
    return 'full'
  end
  return tonumber(live[2] or 0) >= max_tenant_live and 'quota' or nil
end

-- tenant, max_live, max_tenant_live -> ok | full | quota
local function room(keys, args)
  return lack_of_room(keys[1], args[1], tonumber(args[2]), tonumber(args[3])) or 'ok'
end

-- id, rows, cost, tenant, class, deadline_ms, request, retention_ms, digest of the client's key or '', fingerprint,
-- forecast_ms, max_live, max_tenant_live, JSON of its hook or '', batch or '', index in it, custom id, traceparent or ''
-- -> {ok | dup | mismatch | full | quota | closed: its batch takes no more, the job that stands for the call}
local function enqueue(keys, args)
  local p, id, rows, cost, tenant, class = keys[1], args[1], args[2], tonumber(args[3]), args[4], args[5]
  local deadline_ms, request, retention_ms, digest = tonumber(args[6]), args[7], args[8], args[9]
  local fingerprint, forecast_ms, max_live, max_tenant_live = args[10], args[11], tonumber(args[12]), tonumber(args[13])
  local batch, index, custom_id = args[15], args[16], args[17]
  local known = known_by_key(p, tenant, digest, fingerprint)
  if known then
    return known
  end
  local refused = batch ~= '' and refusal_of_item(p, batch, index)
  if refused then
    return {refused, id}
  end
  if redis.call('EXISTS', p .. 'job:' .. id) == 1 then
    return {'dup', id}
  end
  local lack = lack_of_room(p, tenant, max_live, max_tenant_live)
  if lack then
    return {lack, id}
  end
  local now = now_ms()
  keep_key(p, tenant, digest, id, fingerprint)
  local job = {id = id, tenant = tenant, class = class, seq = redis.call('INCR', p .. 'seq')}
  write_job(p, job, 'tenant', tenant, 'class', class, 'seq', job.seq, 'rows', rows, 'cost', cost, 'request', request,
    'retention_ms', retention_ms, 'created_ms', text(now), 'deadline_ms', text(now + deadline_ms),
    'forecast_ms', forecast_ms, 'deliveries', 0, 'failures', 0, 'suspect', 0)
  if digest ~= '' then
    write_job(p, job, 'key_digest', digest)
  end
  if args[14] ~= '' then
    write_job(p, job, 'hook', args[14])
  end
  if (args[18] or '') ~= '' then
    write_job(p, job, 'trace', args[18])
  end
  if batch ~= '' then
    begin_in_batch(p, job, batch, custom_id, now)
  end
  redis.call('ZADD', p .. 'listed:' .. tenant, job.seq, id)
  count(p, '*', 1)
  count(p, sum_of(tenant), 1)
  count(p, 'cost:queued:' .. class, cost)
  redis.call('ZADD', p .. 'deadlines', text(now + deadline_ms), id)
  to_waiting(p, job, now)
  emit(p, now, id, 'job.queued')
  return {'ok', id}
end

-- cancelled | cancelling | the state of an ended job
local function cancel_job(p, job, now)
  if job.state == 'running' then
    if not job.cancel then
      flag(p, job, now, cause_of(job, now) or 'client')
    end
    return 'cancelling'
  end
  if job.state == 'queued' or job.state == 'delayed' then
    leave_waiting(p, job)
    return end_unwanted(p, job, now, cause_of(job, now) or 'client') == 'cancelled' and 'cancelled' or 'failed'
  end
  return job.state
end

-- id, tenant -> as cancel_job, or notfound
local function cancel(keys, args)
  local p = keys[1]
  local job = read_job(p, args[1])
  return is_shown(job, args[2]) and cancel_job(p, job, now_ms()) or 'notfound'
end

-- id -> {the record's fields and values, jobs and row-steps before it}
local function read(keys, args)
  local p = keys[1]
  local job = read_job(p, args[1])
  if not is_shown(job, job.tenant) then
    return {{}, 0, 0}
  end
  return view_of(p, job)
end

-- ms that the oldest queued job has waited
local function oldest_wait_ms(p)
  local oldest, first_seq = nil, math.huge
  local function look(line)
    local first = redis.call('ZRANGE', p .. line, 0, 0, 'WITHSCORES')
    if first[1] and tonumber(first[2]) < first_seq then
      oldest, first_seq = first[1], tonumber(first[2])
    end
  end
  look('suspects')
  for _, class in ipairs({'interactive', 'batch'}) do
    for _, tenant in ipairs(redis.call('ZRANGE', p .. 'tenants:' .. class, 0, -1)) do
      look('ready:' .. class .. ':' .. tenant)
    end
  end
  local created_ms = oldest and read_job(p, oldest).created_ms
  return created_ms and now_ms() - created_ms or 0
end

-- -> JSON
local function stats(keys, _)
  local p = keys[1]
  local running = redis.call('ZCARD', p .. 'leases')
  local sums = redis.call('HMGET', p .. 'live', '*', 'cost:queued:interactive', 'cost:queued:batch', 'cost:running')
  return cjson.encode({
    queued = (sums[1] or 0) - running,
    running = running,
    oldest_wait_ms = oldest_wait_ms(p),
    queued_cost = {interactive = tonumber(sums[2] or 0), batch = tonumber(sums[3] or 0)},
    running_cost = tonumber(sums[4] or 0),
    num_suspects = redis.call('ZCARD', p .. 'suspects'),
    num_dead = redis.call('ZCARD', p .. 'dead'),
    forecast_ratios = redis.call('LRANGE', p .. 'forecast_ratios', 0, -1),
  })
end

-- tenant, its share of the work next to others' 1 -> ok
local function weight_set(keys, args)
  local weight = tonumber(args[2])
  if not weight or weight <= 0 or weight == math.huge then
    return redis.error_reply('the weight must be positive')
  end
  redis.call('HSET', keys[1] .. 'weight', args[1], args[2])
  return 'ok'
end

-- A full server refuses new jobs only: what empties it must go on.
redis.register_function('q1_enqueue', enqueue)
redis.register_function('q1_weight_set', weight_set)
redis.register_function{function_name = 'q1_cancel', callback = cancel, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_room', callback = room, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_read', callback = read, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_stats', callback = stats, flags = {'no-writes', 'allow-oom'}}
