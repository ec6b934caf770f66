
-- What monitoring asks for now and then. It looks at each job that has no line, so it is not for every call.

-- Of each class: how many jobs wait, and the one that has waited longest of those that a worker could take now.
local function waiting(p)
  local found = {interactive = {num = 0, seq = math.huge}, batch = {num = 0, seq = math.huge}}
  local function add(class, num, id, seq)
    local sum = found[class]
    sum.num = sum.num + num
    if id and tonumber(seq) < sum.seq then
      sum.id, sum.seq = id, tonumber(seq)
    end
  end
  for class in pairs(found) do
    for _, tenant in ipairs(redis.call('ZRANGE', p .. 'tenants:' .. class, 0, -1)) do
      local line = p .. 'ready:' .. class .. ':' .. tenant
      add(class, redis.call('ZCARD', line), unpack(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')))
    end
  end
  for _, index in ipairs({'suspects', 'delayed'}) do
    for _, id in ipairs(redis.call('ZRANGE', p .. index, 0, -1)) do
      local job = redis.call('HMGET', p .. 'job:' .. id, 'class', 'seq')
      if job[1] then
        add(job[1], 1, index == 'suspects' and id or nil, job[2])
      end
    end
  end
  return found
end

-- Batches that have not ended, their items that have not, and for how long no item of the slowest one has.
local function open_batches(p, now)
  local ids, left, pause_ms = redis.call('ZRANGE', p .. 'batches', 0, -1), 0, 0
  for _, id in ipairs(ids) do
    local batch = redis.call('HMGET', batch_key(p, 'batch', id), 'total', 'succeeded', 'failed', 'cancelled', 'created_ms',
      'moved_ms')
    if batch[1] then
      left = left + batch[1] - batch[2] - batch[3] - batch[4]
      pause_ms = math.max(pause_ms, now - (batch[6] or batch[5]))
    end
  end
  return #ids, left, pause_ms
end

-- -> JSON, as it is named here
local function figures(keys, _)
  local p, now = keys[1], now_ms()
  local queued, oldest_wait_ms = {}, {}
  for class, sum in pairs(waiting(p)) do
    local created_ms = sum.id and redis.call('HGET', p .. 'job:' .. sum.id, 'created_ms')
    queued[class], oldest_wait_ms[class] = sum.num, created_ms and now - created_ms or 0
  end
  local ends, counts = {}, redis.call('HGETALL', p .. 'ends')
  for i = 1, #counts, 2 do
    ends[counts[i]] = tonumber(counts[i + 1])
  end
  local num_batches, items_left, pause_ms = open_batches(p, now)
  return cjson.encode({
    queued = queued,
    oldest_wait_ms = oldest_wait_ms,
    running = redis.call('ZCARD', p .. 'leases'),
    num_dead = redis.call('ZCARD', p .. 'dead'),
    ends = ends,
    num_batches = num_batches,
    batch_items_left = items_left,
    batch_pause_ms = pause_ms,
  })
end

redis.register_function{function_name = 'q1_figures', callback = figures, flags = {'no-writes', 'allow-oom'}}
