
-- Batches: opened with a manifest that is already durable, fed to the queue a little at a time, read, cancelled.
-- Not here: the manifest, which names the items.
--
-- batches zset         batches that have not ended, by the order of their opening
-- open_batches hash    tenant -> how many of these are its own
-- kept_items hash      tenant -> items of its batches whose books are kept
-- batch_gc zset        ended batches, by ms when their books go
-- feeder               the one gateway that feeds; it says so again and again
-- feeder:newer         likewise of the batches that some older version can't read

-- In one call so many jobs of cancelled batches are cancelled.
local MAX_CANCELLED = 50
-- One batch has so many jobs in the queue at most; the queue itself keeps room for others.
local MAX_FED = 200

-- id, tenant, total, cost, deadline_ms, retention_ms, metadata, digest of the client's key or '', fingerprint,
-- max_open, max_tenant_open, JSON of its hook or '', most items of a tenant's batches of which books are kept,
-- traceparent or ''
-- -> {ok | dup | mismatch | full | quota | kept: too many of these, the batch that stands for the call}
local function batch_open(keys, args)
  local p, id, tenant, total, cost, deadline_ms = keys[1], args[1], args[2], args[3], args[4], tonumber(args[5])
  local digest, fingerprint, max_open, max_tenant_open = args[8], args[9], tonumber(args[10]), tonumber(args[11])
  local known = known_by_key(p, tenant, digest, fingerprint)
  if known then
    return known
  end
  if redis.call('EXISTS', batch_key(p, 'batch', id)) == 1 then
    return {'dup', id}
  end
  if redis.call('ZCARD', p .. 'batches') >= max_open then
    return {'full', id}
  end
  if tonumber(redis.call('HGET', p .. 'open_batches', tenant) or 0) >= max_tenant_open then
    return {'quota', id}
  end
  if tonumber(redis.call('HGET', p .. 'kept_items', tenant) or 0) + total > tonumber(args[13]) then
    return {'kept', id}
  end
  local now = now_ms()
  redis.call('HINCRBY', p .. 'kept_items', tenant, total)
  keep_key(p, tenant, digest, id, fingerprint)
  redis.call('HSET', batch_key(p, 'batch', id), 'tenant', tenant, 'state', 'running', 'total', total, 'cost', cost,
    'created_ms', text(now), 'deadline_ms', text(now + deadline_ms), 'retention_ms', args[6], 'metadata', args[7],
    'cursor', 0, 'succeeded', 0, 'failed', 0, 'cancelled', 0, 'cost_ended', 0)
  if args[12] ~= '' then
    redis.call('HSET', batch_key(p, 'batch', id), 'hook', args[12])
  end
  if (args[14] or '') ~= '' then
    redis.call('HSET', batch_key(p, 'batch', id), 'trace', args[14])
  end
  redis.call('ZADD', p .. 'batches', redis.call('INCR', p .. 'seq'), id)
  redis.call('HINCRBY', p .. 'open_batches', tenant, 1)
  return {'ok', id}
end

-- A batch that is there for this tenant: its state, else nil.
local function state_of_batch(p, id, tenant)
  local batch = redis.call('HMGET', batch_key(p, 'batch', id), 'state', 'tenant')
  return batch[2] == tenant and batch[1] or nil
end

-- id, tenant -> {} if there is none, else {its fields and values, how many of its jobs are running}
local function batch_read(keys, args)
  local p, id = keys[1], args[1]
  if not state_of_batch(p, id, args[2]) then
    return {}
  end
  local running = 0
  for _, job in ipairs(redis.call('SMEMBERS', batch_key(p, 'batch_live', id))) do
    if redis.call('HGET', p .. 'job:' .. job, 'state') == 'running' then
      running = running + 1
    end
  end
  return {redis.call('HGETALL', batch_key(p, 'batch', id)), running}
end

-- id, tenant -> its state after that, or notfound
local function batch_cancel(keys, args)
  local p, id = keys[1], args[1]
  local state = state_of_batch(p, id, args[2])
  if state == 'running' then
    redis.call('HSET', batch_key(p, 'batch', id), 'state', 'cancelling')
      return 'cancelling'
  end
  return state or 'notfound'
end

-- id, tenant, number of the item after which, limit
-- -> {} if there is none, else {its state, for each item {entry, fields and values of its job, or {} if that is gone}}
local function batch_results(keys, args)
  local p, id, after, limit = keys[1], args[1], tonumber(args[3]), tonumber(args[4])
  local state = state_of_batch(p, id, args[2])
  if not state then
    return {}
  end
  local found = {}
  for i, entry in ipairs(redis.call('LRANGE', batch_key(p, 'batch_ends', id), after, after + limit - 1)) do
    local job = string.match(entry, '^%S+ %S+ (%S+)')
    local is_there = job ~= '-' and is_shown(read_job(p, job), args[2])
    found[i] = {entry, is_there and redis.call('HGETALL', p .. 'job:' .. job) or {}}
  end
  return {state, found}
end

-- Some of a cancelled batch's jobs are cancelled too, as far as `budget` goes.
local function cancel_some(p, id, budget, now)
  if budget.cancels == 0 then
    return
  end
  for _, job_id in ipairs(redis.call('SMEMBERS', batch_key(p, 'batch_live', id))) do
    local job = read_job(p, job_id)
    if budget.cancels > 0 and not job.cancel then
      cancel_job(p, job, now)
      budget.cancels = budget.cancels - 1
    end
  end
end

-- How many more jobs of this batch the queue takes now.
local function room_for(p, id, tenant, max_live, max_tenant_live)
  local live = redis.call('HMGET', p .. 'live', '*', sum_of(tenant))
  local own = redis.call('SCARD', batch_key(p, 'batch_live', id))
  return math.max(0, math.min(MAX_FED - own, max_live - (live[1] or 0), max_tenant_live - (live[2] or 0)))
end

-- Whether this gateway is the one that holds the lock; who has lately said so writes nothing.
local function holds(p, lock, feeder, lease_ms)
  local holder = redis.call('GET', p .. lock)
  if holder and holder ~= feeder then
    return false
  end
  if redis.call('PTTL', p .. lock) < lease_ms / 2 then
    redis.call('SET', p .. lock, feeder, 'PX', lease_ms)
  end
  return true
end

-- the gateway that asks, for how many ms it will feed, most live jobs beside which, and of one tenant, batches are fed,
-- name of its code
-- -> for each batch with something to do {id, tenant, cursor, items left, room, why no more of it are wanted or '', ms to its
-- deadline, JSON of its hook or '', its traceparent or ''}; nothing while another gateway feeds, and of the batches that are
-- to go on none that this code can't read
local function batch_feed(keys, args)
  local p, feeder, max_live, max_tenant_live = keys[1], args[1], tonumber(args[3]), tonumber(args[4])
  local held = {}
  local now, turns, budget = now_ms(), {}, {cancels = MAX_CANCELLED}
  for _, id in ipairs(redis.call('ZRANGE', p .. 'batches', 0, -1)) do
    local batch = redis.call('HMGET', batch_key(p, 'batch', id), 'tenant', 'state', 'cursor', 'total', 'deadline_ms',
      'hook', 'trace', 'not_for')
    local cause = batch[2] == 'cancelling' and 'client' or now >= tonumber(batch[5]) and 'deadline' or ''
    -- Any version can end it.
    local not_for = cause == '' and batch[8]
    local lock = not_for and 'feeder:newer' or 'feeder'
    local is_ours = not is_beyond(not_for, args[5] or '')
    if is_ours then
      if held[lock] == nil then
        held[lock] = holds(p, lock, feeder, args[2])
      end
      is_ours = held[lock]
    end
    if is_ours and cause == 'client' then
      cancel_some(p, id, budget, now)
    end
    local left = batch[4] - batch[3]
    if is_ours and left > 0 then
      local room = room_for(p, id, batch[1], max_live, max_tenant_live)
      turns[#turns + 1] = {id, batch[1], tonumber(batch[3]), left, room, cause, batch[5] - now, batch[6] or '',
        batch[7] or ''}
    end
  end
  return turns
end

-- id, name of the code that can't read its manifest -> ok
local function batch_set_aside(keys, args)
  local key = batch_key(keys[1], 'batch', args[1])
  if redis.call('EXISTS', key) == 1 then
    leave_to_others(key, redis.call('HGET', key, 'not_for'), args[2])
  end
  return 'ok'
end

-- id, index of the first, then state, custom id, row-steps and error of each item that ends without being a job
-- -> ok | dup: these have ended already
local function batch_skip(keys, args)
  local p, id = keys[1], args[1]
  local key = batch_key(p, 'batch', id)
  if redis.call('HGET', key, 'cursor') ~= args[2] then
    return 'dup'
  end
  for i = 3, #args, 4 do
    local entry = args[i] .. ' ' .. args[i + 1] .. ' - ' .. args[i + 3]
    redis.call('RPUSH', batch_key(p, 'batch_ends', id), entry)
    redis.call('HINCRBY', key, args[i], 1)
    redis.call('HINCRBY', key, 'cost_ended', args[i + 2])
    redis.call('HINCRBY', key, 'cursor', 1)
  end
  local now = now_ms()
  redis.call('HSET', key, 'moved_ms', text(now))
  end_batch_if_done(p, id, now)
  return 'ok'
end

redis.register_function('q1_batch_open', batch_open)
redis.register_function{
  function_name = 'q1_batch_set_aside', callback = batch_set_aside, flags = {'allow-oom'},
}
redis.register_function{function_name = 'q1_batch_read', callback = batch_read, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_batch_cancel', callback = batch_cancel, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_batch_results', callback = batch_results, flags = {'no-writes', 'allow-oom'}}
redis.register_function{function_name = 'q1_batch_feed', callback = batch_feed, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_batch_skip', callback = batch_skip, flags = {'allow-oom'}}
