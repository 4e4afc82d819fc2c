-- The shared ledger's counters: one JSON text for each bucket, changed only by this script.
--
-- The rules are those of counter.py, room.py and account.py, and the same tests run against
-- both. A script is atomic in Redis, so a call takes from every bucket or from none.
--
-- KEYS: epoch, seq, changed, workers, open calls of this worker, then one for each bucket.
-- ARGV: what to do, and its arguments as JSON. The reply is a list: a word ("ok", "no",
-- "lost" when Redis was emptied since this worker met it, "stale" when a day or month has ended meanwhile), the time,
-- the time of the call, then for each bucket its text as it is now.

local floor, max, min = math.floor, math.max, math.min
local NEVER = math.huge
local MINUTE = 62
local REMEMBERED = 86400
local LEASE = 10
local MEMORY = 600
local SURPRISE = 0.05
local WHILE_OPEN = 172800
local WINDOWS = {
  rpm = {"rpm", 1}, tpm = {"tpm", 1}, rpd = {"rpd", 2}, tpd = {"tpd", 2},
  month_requests = {"requests_per_month", 3}, month_tokens = {"tokens_per_month", 3},
}
local IS_TOKENS = {tpm = true, tpd = true, tokens_per_month = true}
local LONGEST_CLOSED = {rpm = 120, tpm = 120, rpd = 90000, tpd = 90000}
local LONGEST_MONTH = 32 * 86400

local EPOCH, SEQ, CHANGED, WORKERS, OPEN = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIRST = 5
local op, args = ARGV[1], cjson.decode(ARGV[2])

local function server_time()
  local time = redis.call("TIME")
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Milliseconds are exact in the JSON that Redis writes; anything finer would be rounded.
local now = floor((args.now or server_time()) * 1000) / 1000

-- Slots are a flat list of second, requests, tokens, oldest first; periods and pace are those
-- of counter.py; stated are limits and when they were seen; open counts calls by worker.
local function nothing()
  return {
    v = 0, latest = 0, slots = {}, day = {0, 0, 0, 0}, month = {0, 0, 0, 0},
    pace = {0, 0, 0}, closed = 0, stated = {}, open = {}, monthly = 0,
  }
end

local function read(number)
  local text = redis.call("GET", KEYS[FIRST + number])
  return text and cjson.decode(text) or nothing()
end

local function since(s, at)
  local requests, tokens = 0, 0
  for i = 1, #s.slots, 3 do
    if s.slots[i] >= at then
      requests, tokens = requests + s.slots[i + 1], tokens + s.slots[i + 2]
    end
  end
  return requests, tokens
end

local function period(s, from, to)
  local requests, tokens = since(s, from)
  return {from, to, requests, tokens}
end

local function forget_slots(s)
  local oldest, kept = floor(now) - MINUTE, {}
  if s.slots[1] == nil or s.slots[1] > oldest then return end
  for i = 1, #s.slots do
    if s.slots[i - (i - 1) % 3] > oldest then kept[#kept + 1] = s.slots[i] end
  end
  s.slots = kept
end

local function forget_dead(s)
  for worker in pairs(s.open) do
    if worker ~= args.worker then
      local seen = redis.call("ZSCORE", WORKERS, worker)
      if not seen or tonumber(seen) < now - LEASE then s.open[worker] = nil end
    end
  end
end

-- False when the client's day or month is not the one that it is now.
local function roll(s, bucket)
  local day, month = bucket.day, bucket.month
  if now >= s.day[2] then
    if now < day[1] or now >= day[2] then return false end
    s.day = period(s, day[1], day[2])
  end
  if now >= s.month[2] then
    if now < month[1] or now >= month[2] then return false end
    s.month = period(s, month[1], month[2])
  end
  forget_slots(s)
  forget_dead(s)
  return true
end

local function add_to_period(p, at, requests, tokens)
  if p[1] <= at and at < p[2] then
    p[3], p[4] = max(0, p[3] + requests), max(0, p[4] + tokens)
  end
end

local function add_to_pace(p, at, requests, tokens)
  if at > p[1] then
    local share = math.exp((p[1] - at) / MEMORY)
    p[1], p[2], p[3] = at, p[2] * share, p[3] * share
  end
  p[2], p[3] = max(0, p[2] + requests), max(0, p[3] + tokens)
end

local function add_to_minute(s, second, requests, tokens, only_if_there)
  local slots = s.slots
  local i = #slots - 2
  while i >= 1 and slots[i] > second do i = i - 3 end
  if i < 1 or slots[i] ~= second then
    if only_if_there then return end
    i = i + 3
    table.insert(slots, i, second)
    table.insert(slots, i + 1, 0)
    table.insert(slots, i + 2, 0)
  end
  slots[i + 1] = slots[i + 1] + requests
  slots[i + 2] = slots[i + 2] + tokens
end

local function add(s, at, requests, tokens, only_if_there)
  add_to_minute(s, floor(at), requests, tokens, only_if_there)
  add_to_pace(s.pace, at, requests, tokens)
  add_to_period(s.day, at, requests, tokens)
  add_to_period(s.month, at, requests, tokens)
end

local function under_way(s)
  local count = 0
  for _, more in pairs(s.open) do count = count + more end
  return count
end

local function note_open(s, more)
  local count = (s.open[args.worker] or 0) + more
  s.open[args.worker] = count > 0 and count or nil
end

-- The caps of the catalog and the user, with the lower ones that the provider stated.
local function caps_of(s, given)
  local caps = {}
  for name, cap in pairs(given) do caps[name] = cap end
  for window, seen in pairs(s.stated) do
    local name = WINDOWS[window][1]
    if seen[2] + REMEMBERED <= now then
      s.stated[window] = nil
    elseif caps[name] == nil or seen[1] < caps[name] then
      caps[name] = seen[1]
    end
  end
  return caps
end

local function over(cap, used, more)
  return cap ~= nil and used + more > cap and (used > 0 or cap == 0)
end

local function period_opens(s, p, requests_cap, tokens_cap, tokens, at)
  local ahead = at >= p[2]
  local requests, used = p[3], p[4]
  if ahead then requests, used = since(s, p[2]) end
  if over(requests_cap, requests, 1) or over(tokens_cap, used, tokens) then
    if ahead or requests_cap == 0 or tokens_cap == 0 then return NEVER end
    return p[2]
  end
  return at
end

local function periods_open_at(s, caps, tokens, at)
  local opens = at
  if caps.rpd or caps.tpd then
    opens = period_opens(s, s.day, caps.rpd, caps.tpd, tokens, at)
  end
  if caps.requests_per_month or caps.tokens_per_month then
    local monthly = period_opens(
      s, s.month, caps.requests_per_month, caps.tokens_per_month, tokens, at)
    opens = max(opens, monthly)
  end
  return opens
end

-- The most requests, and tokens, in any minute that a call at this time is part of.
local function minute(s, at)
  local second, slots = floor(at), s.slots
  local most_requests, most_tokens, requests, tokens, left = 0, 0, 0, 0, 1
  for i = 1, #slots, 3 do
    if slots[i] >= second + MINUTE then break end
    if slots[i] > second - MINUTE then
      requests, tokens = requests + slots[i + 1], tokens + slots[i + 2]
      while slots[left] <= slots[i] - MINUTE do
        if slots[left] > second - MINUTE then
          requests, tokens = requests - slots[left + 1], tokens - slots[left + 2]
        end
        left = left + 3
      end
      most_requests, most_tokens = max(most_requests, requests), max(most_tokens, tokens)
    end
  end
  return most_requests, most_tokens
end

local function fits(s, caps, tokens, at)
  if s.closed > at or over(caps.concurrency, under_way(s), 1) then return false end
  if periods_open_at(s, caps, tokens, at) > at then return false end
  if caps.rpm == nil and caps.tpm == nil then return true end
  local requests, used = minute(s, at)
  return not (over(caps.rpm, requests, 1) or over(caps.tpm, used, tokens))
end

local function lasting(s, caps, tokens, at)
  return not over(caps.concurrency, under_way(s), 1)
    and periods_open_at(s, caps, tokens, at) == at
end

local function minute_opens_at(s, caps, tokens, at)
  local second, slots, held = floor(at), s.slots, {}
  for i = 1, #slots, 3 do
    if slots[i] > second - MINUTE then held[#held + 1] = i end
  end
  local opens, left, requests, used = second, 1, 0, 0
  local function leave()
    requests = requests - slots[held[left] + 1]
    used = used - slots[held[left] + 2]
    left = left + 1
  end
  for _, i in ipairs(held) do
    requests, used = requests + slots[i + 1], used + slots[i + 2]
    local until_ = 0
    while slots[held[left]] <= slots[i] - MINUTE do leave() end
    while over(caps.rpm, requests, 1) or over(caps.tpm, used, tokens) do
      until_ = slots[held[left]] + MINUTE
      leave()
    end
    if slots[i] - MINUTE < opens and opens < until_ then opens = until_ end
  end
  return opens == second and at or opens
end

local function opens_at(s, caps, tokens, at)
  if caps.rpm == 0 or caps.tpm == 0 or caps.rpd == 0 or caps.tpd == 0
      or caps.concurrency == 0 then
    return NEVER
  end
  local opens = max(periods_open_at(s, caps, tokens, at), s.closed)
  if caps.rpm or caps.tpm then opens = max(opens, minute_opens_at(s, caps, tokens, at)) end
  return opens
end

local function seconds_to_live(s)
  local ends = max(s.day[2], s.closed)
  local newest = s.slots[#s.slots - 2]
  if newest then ends = max(ends, newest + MINUTE) end
  if s.monthly == 1 then ends = max(ends, s.month[2]) end
  for _, seen in pairs(s.stated) do ends = max(ends, seen[2] + REMEMBERED) end
  if next(s.open) then ends = max(ends, now + WHILE_OPEN) end
  return max(1, math.ceil(ends - now))
end

local function write(number, s)
  s.v = redis.call("INCR", SEQ)
  s.latest = max(s.latest, now)
  local text = cjson.encode(s)
  redis.call("SET", KEYS[FIRST + number], text, "EX", seconds_to_live(s))
  redis.call("ZADD", CHANGED, s.v, "b:" .. args.buckets[number].name)
  return text
end

local function reply(word, at, states, is_changed)
  local told = {word, string.format("%.3f", now), string.format("%.3f", at)}
  for number, s in ipairs(states) do
    told[#told + 1] = is_changed and write(number, s) or cjson.encode(s)
  end
  return told
end

local function read_all()
  local states = {}
  for number = 1, #args.buckets do
    states[number] = read(number)
    -- A clock that went back a little gives no headroom away.
    local latest = states[number].latest
    if now < latest and now >= latest - MINUTE then now = latest end
  end
  return states
end

local function roll_all(states)
  for number, bucket in ipairs(args.buckets) do
    if not roll(states[number], bucket) then return false end
    local given = bucket.caps
    if given.requests_per_month or given.tokens_per_month then states[number].monthly = 1 end
  end
  return true
end

local function hold(states, at)
  for number, s in ipairs(states) do
    add(s, at, 1, args.tokens)
    note_open(s, 1)
  end
  redis.call("HSET", OPEN, args.id, string.format("%.3f", at))
  redis.call("EXPIRE", OPEN, WHILE_OPEN)
  return reply("ok", at, states, true)
end

local function reserve(states)
  for number, s in ipairs(states) do
    if not fits(s, caps_of(s, args.buckets[number].caps), args.tokens, now) then
      return reply("no", now, states, false)
    end
  end
  return hold(states, now)
end

local function book(states)
  local caps = {}
  for number, s in ipairs(states) do
    caps[number] = caps_of(s, args.buckets[number].caps)
    if not lasting(s, caps[number], args.tokens, now) then
      return reply("no", now, states, false)
    end
  end
  local at, latest = now, now + args.patience
  while true do
    local opens = at
    for number, s in ipairs(states) do
      opens = max(opens, opens_at(s, caps[number], args.tokens, at))
    end
    if opens > latest then return reply("no", now, states, false) end
    if opens == at then return hold(states, at) end
    at = opens
  end
end

local function take(states, how)
  if not roll_all(states) then return reply("stale", now, states, false) end
  local at = redis.call("HGET", OPEN, args.id)
  -- The answer to a first try was lost on its way.
  if at then return reply("ok", tonumber(at), states, false) end
  return how(states)
end

local function settle(states)
  if redis.call("HDEL", OPEN, args.id) == 0 then return reply("ok", now, states, false) end
  for _, s in ipairs(states) do
    forget_slots(s)
    note_open(s, -1)
    if args.requests ~= 0 or args.tokens ~= 0 then
      add(s, args.at, args.requests, args.tokens, true)
    end
  end
  return reply("ok", now, states, true)
end

-- What is used of a window by now; tokens or requests as its name says.
local function used(s, name, kind)
  local which = IS_TOKENS[name] and 2 or 1
  if kind == 1 then
    local sum = 0
    for i = 1, #s.slots, 3 do
      if s.slots[i] <= now then sum = sum + s.slots[i + which] end
    end
    return sum
  end
  return (kind == 2 and s.day or s.month)[2 + which]
end

local function add_others(s, name, kind, amount)
  local requests, tokens = amount, 0
  if IS_TOKENS[name] then requests, tokens = 0, amount end
  if kind == 1 then
    add_to_minute(s, floor(now), requests, tokens)
  else
    add_to_period(kind == 2 and s.day or s.month, now, requests, tokens)
  end
end

-- Count what others must have used; whether there was any, or may have been.
local function counts_others(s, name, kind, remaining, caps)
  local cap = caps[name]
  if cap == nil then return true end
  local missing = cap - used(s, name, kind) - remaining
  if missing <= (IS_TOKENS[name] and cap * SURPRISE or 0) then return false end
  add_others(s, name, kind, missing)
  return true
end

local function is_stale(s, kind, age)
  if kind == 1 then return age > MINUTE - 60 end
  return now - age < (kind == 2 and s.day or s.month)[1]
end

local function observe_one(s, seen)
  local name, kind = WINDOWS[seen.window][1], WINDOWS[seen.window][2]
  if seen.limit and seen.limit >= 1 then s.stated[seen.window] = {seen.limit, now} end
  if seen.remaining == nil or is_stale(s, kind, args.age) then return end
  local caps = caps_of(s, args.buckets[1].caps)
  if counts_others(s, name, kind, seen.remaining, caps)
      and seen.remaining == 0 and seen.resets_in then
    local wait = min(seen.resets_in, LONGEST_CLOSED[name] or LONGEST_MONTH)
    s.closed = max(s.closed, floor((now + wait) * 1000) / 1000)
  end
end

local function observe(states)
  if not roll_all(states) then return reply("stale", now, states, false) end
  for _, seen in ipairs(args.seen) do observe_one(states[1], seen) end
  return reply("ok", now, states, true)
end

local function merge_period(p, other)
  if other[2] > p[2] then return other end
  if other[2] == p[2] then p[3], p[4] = max(p[3], other[3]), max(p[4], other[4]) end
  return p
end

-- What a worker knew before Redis was gone: of two counts the higher one is true.
local function merge(states)
  for number, s in ipairs(states) do
    local other = args.known[number]
    if not args.anew and other.v <= s.v then other = nothing() end
    for i = 1, #other.slots, 3 do
      local at = other.slots[i]
      add_to_minute(s, at, 0, 0)
      for j = 1, #s.slots, 3 do
        if s.slots[j] == at then
          s.slots[j + 1] = max(s.slots[j + 1], other.slots[i + 1])
          s.slots[j + 2] = max(s.slots[j + 2], other.slots[i + 2])
        end
      end
    end
    s.day, s.month = merge_period(s.day, other.day), merge_period(s.month, other.month)
    s.closed, s.monthly = max(s.closed, other.closed), max(s.monthly, other.monthly)
    if other.pace[1] > s.pace[1] then s.pace = other.pace end
    for window, seen in pairs(other.stated) do
      local mine = s.stated[window]
      if mine == nil or mine[2] < seen[2] then s.stated[window] = seen end
    end
    forget_slots(s)
  end
  return reply("ok", now, states, true)
end

-- What a worker used while Redis was gone, whether there is room or not.
local function push(states)
  if not roll_all(states) then return reply("stale", now, states, false) end
  for number, s in ipairs(states) do
    local more = args.buckets[number].more
    for i = 1, #more, 3 do add(s, more[i], more[i + 1], more[i + 2]) end
  end
  return reply("ok", now, states, true)
end

-- A call that is under way, and that is counted already in all but this.
local function adopt(states)
  if redis.call("HSETNX", OPEN, args.id, args.at) == 1 then
    for _, s in ipairs(states) do note_open(s, 1) end
  end
  redis.call("EXPIRE", OPEN, WHILE_OPEN)
  return reply("ok", now, states, true)
end

-- A sign of life; what other workers have changed since.
local function look()
  local was = redis.call("ZSCORE", WORKERS, args.worker) and 1 or 0
  redis.call("ZADD", WORKERS, now, args.worker)
  redis.call("ZREMRANGEBYSCORE", WORKERS, "-inf", now - LEASE)
  redis.call("EXPIRE", WORKERS, WHILE_OPEN)
  redis.call("EXPIRE", CHANGED, 40 * 86400)
  local names = redis.call("ZRANGEBYSCORE", CHANGED, "(" .. args.since, "+inf", "LIMIT", 0, 500)
  local told = {
    "ok", string.format("%.3f", now), tostring(was),
    cjson.encode(redis.call("ZRANGE", WORKERS, 0, -1)), #names,
  }
  for _, name in ipairs(names) do
    local text = redis.call("GET", args.prefix .. name)
    if text then
      told[#told + 1], told[#told + 2] = name, text
    else
      redis.call("ZREM", CHANGED, name)
    end
  end
  return told
end

if op == "begin" then
  redis.call("SET", EPOCH, args.epoch, "NX")
  return {"ok", string.format("%.3f", now), redis.call("GET", EPOCH)}
end
-- Redis may be empty still: this is how it is filled.
if op == "merge" then return merge(read_all()) end
if redis.call("GET", EPOCH) ~= args.epoch then return {"lost", string.format("%.3f", now)} end
if op == "leave" then
  redis.call("ZREM", WORKERS, args.worker)
  redis.call("DEL", OPEN)
  return {"ok", string.format("%.3f", now)}
end
if op == "look" then return look() end

local states = read_all()
if op == "reserve" then return take(states, reserve) end
if op == "book" then return take(states, book) end
if op == "settle" then return settle(states) end
if op == "observe" then return observe(states) end
if op == "push" then return push(states) end
if op == "adopt" then return adopt(states) end
return redis.error_reply("unknown: " .. op)
