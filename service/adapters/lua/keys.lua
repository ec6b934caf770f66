
-- API keys. Not here: what a key may do, and its secret, of which only a digest is kept.
--
-- api_keys hash     id -> JSON of the key, in which tenant and expires_at (POSIX seconds, null for never) are read here
-- link_secret       64 hex digits that sign addresses which need no key; no function touches it

-- id, JSON, tenant, how many live ones a tenant may have -> ok | full
local function key_add(keys, args)
  local name, id, record, tenant, most = keys[1] .. 'api_keys', args[1], args[2], args[3], tonumber(args[4])
  local now, num_live = now_ms() / 1000, 0
  for _, text in ipairs(redis.call('HVALS', name)) do
    local key = cjson.decode(text)
    local is_over = type(key.expires_at) == 'number' and key.expires_at <= now
    if key.tenant == tenant and not is_over then
      num_live = num_live + 1
    end
  end
  if num_live >= most then
    return 'full'
  end
  redis.call('HSET', name, id, record)
  return 'ok'
end

-- id -> whether there was such a key
local function key_revoke(keys, args)
  return redis.call('HDEL', keys[1] .. 'api_keys', args[1])
end

redis.register_function('q1_key_add', key_add)
redis.register_function{function_name = 'q1_key_revoke', callback = key_revoke, flags = {'allow-oom'}}
