
-- The library: sources and poses that tenants keep for later jobs. Not here: their pixels.
--
-- picture:<id> hash        one record; created_ms, used_ms of its last use, the rest as Python wrote it
-- pictures_of:<tenant> hash
--                          the tenant's pictures, their ids by a digest of everything that a client could tell apart
-- pictures zset            every picture by ms of its last use

local PICTURE_KEPT_MS = 7 * 86400 * 1000

local function mark_used(p, id, now)
  redis.call('HSET', p .. 'picture:' .. id, 'used_ms', text(now))
  redis.call('ZADD', p .. 'pictures', text(now), id)
end

-- Its pixels are named to upkeep, so that nobody need be there to delete them.
local function forget_picture(p, id)
  local record = redis.call('HMGET', p .. 'picture:' .. id, 'tenant', 'content')
  if record[1] then
    redis.call('HDEL', p .. 'pictures_of:' .. record[1], record[2])
  end
  redis.call('DEL', p .. 'picture:' .. id)
  redis.call('ZREM', p .. 'pictures', id)
  redis.call('SADD', p .. 'deletable', id)
end

-- The pictures that nobody has used for a week.
local function forget_unused_pictures(p, now, limit)
  local bound = text(now - PICTURE_KEPT_MS)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'pictures', '-inf', bound, 'LIMIT', 0, limit)) do
    forget_picture(p, id)
  end
end

-- id, tenant, digest of what makes it this picture, how many a tenant may have, further fields and values of its record
-- -> {id, fields and values} of the picture that stands for the call | {} if the tenant has too many
local function picture_add(keys, args)
  local p, id, tenant, content, most = keys[1], args[1], args[2], args[3], tonumber(args[4])
  local own = p .. 'pictures_of:' .. tenant
  local known = redis.call('HGET', own, content)
  if known then
    return {known, redis.call('HGETALL', p .. 'picture:' .. known)}
  end
  if redis.call('HLEN', own) >= most then
    return {}
  end
  local now = now_ms()
  redis.call('HSET', own, content, id)
  redis.call('HSET', p .. 'picture:' .. id, 'tenant', tenant, 'content', content, 'created_ms', text(now),
    unpack(args, 5))
  mark_used(p, id, now)
  return {id, redis.call('HGETALL', p .. 'picture:' .. id)}
end

local function is_picture_of(p, id, tenant)
  return redis.call('HGET', p .. 'picture:' .. id, 'tenant') == tenant
end

-- id, tenant -> {} if there is none, else fields and values
local function picture_use(keys, args)
  local p, id = keys[1], args[1]
  if not is_picture_of(p, id, args[2]) then
    return {}
  end
  mark_used(p, id, now_ms())
  return redis.call('HGETALL', p .. 'picture:' .. id)
end

-- id, tenant -> whether there was one
local function picture_delete(keys, args)
  if not is_picture_of(keys[1], args[1], args[2]) then
    return 0
  end
  forget_picture(keys[1], args[1])
  return 1
end

-- A full server keeps no further pictures, but those that are there can be used.
redis.register_function('q1_picture_add', picture_add)
redis.register_function{function_name = 'q1_picture_use', callback = picture_use, flags = {'allow-oom'}}
redis.register_function{function_name = 'q1_picture_delete', callback = picture_delete, flags = {'allow-oom'}}
