
-- The books of batches, as far as their jobs write them.
--
-- batch:<id> hash          tenant, state (running, cancelling, completed, cancelled), total, cursor: items of the
--                          manifest that have become jobs or ended without, row-steps as cost and cost_ended, and how
--                          many have ended so: succeeded, failed, cancelled; moved_ms is when the last of them did;
--                          not_for as of a job
-- batch_live:<id> set      its jobs that have not ended
-- batch_ends:<id> list     its items in the order in which they have ended:
--                          <state> <custom id> <job, or - if it never was one> <error as JSON, or nothing>

local BOOKS_KEPT_MS = 7 * 86400 * 1000

local function batch_key(p, part, id)
  return p .. part .. ':' .. id
end

-- Everything has ended: the batch has too. Its manifest is of no more use.
local function end_batch_if_done(p, id, now)
  local key = batch_key(p, 'batch', id)
  local batch = redis.call('HMGET', key, 'state', 'total', 'succeeded', 'failed', 'cancelled', 'tenant')
  if batch[3] + batch[4] + batch[5] < tonumber(batch[2]) then
    return
  end
  redis.call('HSET', key, 'state', batch[1] == 'cancelling' and 'cancelled' or 'completed', 'ended_ms', text(now))
  redis.call('ZREM', p .. 'batches', id)
  if redis.call('HINCRBY', p .. 'open_batches', batch[6], -1) == 0 then
    redis.call('HDEL', p .. 'open_batches', batch[6])
  end
  redis.call('ZADD', p .. 'batch_gc', text(now + BOOKS_KEPT_MS), id)
  redis.call('SADD', p .. 'deletable', id)
  announce_as(p, now, 'batch', id, 'batch.completed')
end

-- A job of a batch has ended.
end_in_batch = function(p, job, now, state)
  local key = batch_key(p, 'batch', job.batch)
  if redis.call('SREM', batch_key(p, 'batch_live', job.batch), job.id) == 0 then
    return
  end
  local custom_id = redis.call('HGET', p .. 'job:' .. job.id, 'custom_id')
  redis.call('RPUSH', batch_key(p, 'batch_ends', job.batch), state .. ' ' .. custom_id .. ' ' .. job.id)
  redis.call('HINCRBY', key, state, 1)
  redis.call('HINCRBY', key, 'cost_ended', text(job.cost))
  redis.call('HSET', key, 'moved_ms', text(now))
  end_batch_if_done(p, job.batch, now)
end

-- Why this item of a batch can't become a job: dup, it has been one already; closed, no more are wanted; nil if it can.
local function refusal_of_item(p, id, index)
  local batch = redis.call('HMGET', batch_key(p, 'batch', id), 'state', 'cursor')
  if batch[1] and tonumber(index) < tonumber(batch[2]) then
    return 'dup'
  end
  return (batch[1] ~= 'running' or index ~= batch[2]) and 'closed' or nil
end

-- The item that is next becomes this job.
local function begin_in_batch(p, job, id, custom_id, now)
  write_job(p, job, 'batch', id, 'custom_id', custom_id)
  job.batch = id
  redis.call('SADD', batch_key(p, 'batch_live', id), job.id)
  redis.call('HINCRBY', batch_key(p, 'batch', id), 'cursor', 1)
  redis.call('HSETNX', batch_key(p, 'batch', id), 'started_ms', text(now))
end
