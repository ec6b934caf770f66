
-- The vector cache: what some worker has computed already, and who computes what nobody has.
-- Not here: what a vector is. A text of another length than expected counts as absent.
--
-- vec:<key> string, vecs zset    the vector's text; the keys by ms of their last use
-- making:<key> string            the worker that was told to make it; runs out by itself
-- wishes list                    what idle workers are to make, the oldest first
-- found:<key> string             what was found in a photo; runs out by itself, and no function touches it

-- One put stays short even after the bound has been lowered.
local MAX_EVICTED = 100

local function vector_or_turn(p, key, worker, lock_ms, length, now)
  local vector = redis.call('GET', p .. 'vec:' .. key)
  if vector and #vector == length then
    redis.call('ZADD', p .. 'vecs', text(now), key)
    return vector
  end
  local lock = p .. 'making:' .. key
  local maker = redis.call('GET', lock)
  if maker and maker ~= worker then
    return 'theirs'
  end
  redis.call('SET', lock, worker, 'PX', lock_ms)
  return 'yours'
end

-- worker, lock_ms, length of a vector's text, keys... -> the text | yours | theirs for each
-- Who has been told `yours` is told so again, as its answer may have been lost.
local function vectors_look_up(keys, args)
  local p, worker, lock_ms, length = keys[1], args[1], args[2], tonumber(args[3])
  local now = now_ms()
  local found = {}
  for i = 4, #args do
    found[#found + 1] = vector_or_turn(p, args[i], worker, lock_ms, length, now)
  end
  return found
end

-- key, text, max_entries -> number of evicted ones
local function vector_put(keys, args)
  local p, key, vector, max_entries = keys[1], args[1], args[2], tonumber(args[3])
  redis.call('SET', p .. 'vec:' .. key, vector)
  redis.call('ZADD', p .. 'vecs', text(now_ms()), key)
  redis.call('DEL', p .. 'making:' .. key)
  local num_surplus = math.min(redis.call('ZCARD', p .. 'vecs') - max_entries, MAX_EVICTED)
  if num_surplus <= 0 then
    return 0
  end
  local oldest = redis.call('ZRANGE', p .. 'vecs', 0, num_surplus - 1)
  for _, evicted in ipairs(oldest) do
    redis.call('DEL', p .. 'vec:' .. evicted)
  end
  return redis.call('ZREM', p .. 'vecs', unpack(oldest))
end

-- worker, key -> 1 if it was this worker's to make, else 0
local function vector_abandon(keys, args)
  local lock = keys[1] .. 'making:' .. args[2]
  if redis.call('GET', lock) ~= args[1] then
    return 0
  end
  return redis.call('DEL', lock)
end

-- wish, how many are kept -> ok; workers are woken, as by a job
local function vector_wish(keys, args)
  local name = keys[1] .. 'wishes'
  redis.call('LREM', name, 0, args[1])
  redis.call('RPUSH', name, args[1])
  redis.call('LTRIM', name, -args[2], -1)
  redis.call('PUBLISH', keys[1] .. 'wake', '')
  return 'ok'
end

-- -> the oldest wish, or '' if there is none
local function vector_wish_take(keys, _)
  return redis.call('LPOP', keys[1] .. 'wishes') or ''
end

-- A full server keeps no further vectors, but those who ask go on.
redis.register_function('q1_vector_put', vector_put)
redis.register_function('q1_vector_wish', vector_wish)
redis.register_function{function_name = 'q1_vector_wish_take', callback = vector_wish_take, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_vectors_look_up', callback = vectors_look_up, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_vector_abandon', callback = vector_abandon, flags = {'allow-oom'}}
