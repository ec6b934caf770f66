
-- The auditor's view: what a bounded number of jobs say of themselves and which indexes they are in, as one snapshot.
-- Not here: what of it is a violation. It changes nothing.

local AUDITED_FIELDS = {'state', 'tenant', 'class', 'cost', 'suspect', 'deadline_ms', 'error_code', 'erase'}
local AUDITED_INDEXES = {'suspects', 'delayed', 'leases', 'deadlines', 'gc', 'dead'}

-- Of a job's deliveries the first one waits or is being tried, and no other one is.
local function are_hooks_right(p, id)
  for i, message in ipairs(redis.call('LRANGE', p .. 'hooks_of:job:' .. id, 0, -1)) do
    local host = redis.call('HGET', p .. 'hook:' .. message, 'host')
    local places = 0
    for _, zset in ipairs({'hooks_due:', 'hooks_sent:'}) do
      places = places + (host and redis.call('ZSCORE', p .. zset .. host, message) and 1 or 0)
    end
    if not host or places ~= (i == 1 and 1 or 0) then
      return false
    end
  end
  return true
end

local function is_stray(p, message)
  local owner = redis.call('HGET', p .. 'hook:' .. message, 'owner')
  return not (owner and redis.call('LPOS', p .. 'hooks_of:' .. owner, message))
end

-- One job; `part` is the index through which it was found.
local function facts_of(p, id, part)
  local record = p .. 'job:' .. id
  local facts = {
    id = id, has_result = redis.call('HEXISTS', record, 'result') == 1, are_hooks_right = are_hooks_right(p, id),
  }
  for i, value in ipairs(redis.call('HMGET', record, unpack(AUDITED_FIELDS))) do
    facts[AUDITED_FIELDS[i]] = value or nil
  end
  local indexes = {part, unpack(AUDITED_INDEXES)}
  if facts.tenant then
    indexes[#indexes + 1] = line_of(facts)
    indexes[#indexes + 1] = 'listed:' .. facts.tenant
  end
  facts.indexes = {}
  for _, index in ipairs(indexes) do
    if index ~= 'jobs' and redis.call('ZSCORE', p .. index, id) then
      facts.indexes[#facts.indexes + 1] = index
    end
  end
  return facts
end

-- All keys of the queue, a few at a time: ids of jobs, names of lines and lists, and deliveries that are no job's. Those
-- lines that should be there come first.
local function scan_keys(p, cursor, limit)
  local ids, lines, strays = {}, {}, {}
  if cursor == '0' then
    for _, class in ipairs({'interactive', 'batch'}) do
      for _, tenant in ipairs(redis.call('ZRANGE', p .. 'tenants:' .. class, 0, -1)) do
        lines[#lines + 1] = line_of({class = class, tenant = tenant})
      end
    end
  end
  local found = redis.call('SCAN', cursor, 'MATCH', p .. '*', 'COUNT', limit)
  for _, key in ipairs(found[2]) do
    local name = string.sub(key, #p + 1)
    if string.sub(name, 1, 4) == 'job:' then
      ids[#ids + 1] = string.sub(name, 5)
    elseif string.sub(name, 1, 6) == 'ready:' or string.sub(name, 1, 7) == 'listed:' then
      lines[#lines + 1] = name
    elseif string.sub(name, 1, 5) == 'hook:' and is_stray(p, string.sub(name, 6)) then
      strays[#strays + 1] = string.sub(name, 6)
    end
  end
  return found[1], ids, lines, strays
end

local function scan_index(p, index, cursor, limit)
  local found = redis.call('ZSCAN', p .. index, cursor, 'COUNT', limit)
  local ids = {}
  for i = 1, #found[2], 2 do
    ids[#ids + 1] = found[2][i]
  end
  return found[1], ids
end

-- A line has a tenant in its class as long as somebody stands in it.
local function is_listed_rightly(p, line)
  local class, tenant = string.match(line, '^ready:(%a+):(.*)$')
  if not class then
    return true
  end
  local is_listed = redis.call('ZSCORE', p .. 'tenants:' .. class, tenant) and true or false
  return is_listed == (redis.call('EXISTS', p .. line) == 1)
end

local function stored_sums(p)
  local sums = {}
  local live = redis.call('HGETALL', p .. 'live')
  for i = 1, #live, 2 do
    sums[live[i]] = tonumber(live[i + 1])
  end
  return sums
end

-- jobs or the name of an index, cursor (at first 0), number to look at -> JSON
-- `change` names the last change of any job, so that two equal ones say that nothing has changed between.
local function audit(keys, args)
  local p, part, cursor, limit = keys[1], args[1], args[2], tonumber(args[3])
  local next_cursor, ids, lines, strays
  if part == 'jobs' then
    next_cursor, ids, lines, strays = scan_keys(p, cursor, limit)
  else
    next_cursor, ids = scan_index(p, part, cursor, limit)
  end
  local jobs = {}
  for i, id in ipairs(ids) do
    jobs[i] = facts_of(p, id, part)
  end
  local last_event = redis.call('XREVRANGE', p .. 'events', '+', '-', 'COUNT', 1)[1]
  return cjson.encode({
    cursor = next_cursor, jobs = jobs, lines = lines, stray_hooks = strays, now_ms = now_ms(),
    sums = part == 'deadlines' and stored_sums(p) or nil,
    change = last_event and last_event[1] or '', is_listed_rightly = is_listed_rightly(p, part),
  })
end

redis.register_function{function_name = 'q1_audit', callback = audit, flags = {'no-writes', 'allow-oom'}}
