"""Which steps happen at once or not at all? Each is a Lua script: the server runs it whole, or not.

KEYS and ARGV of each stand above it. Those ending in `_MANY` take what many callers ask in the same moment: one look at
the leases and one acknowledgement for all.
"""

from __future__ import annotations

UNREAD_MS = 300_000  # how long a reply waits in the stream of its reader

# KEYS: any of the service. The server's time.
NOW = "return redis.call('TIME')"

# Who holds the lease of an entry; nil also when the server was emptied, and group or stream are gone.
HOLDER = """
local function holder(stream, group, entry)
  local held = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  if held.err or #held == 0 then return nil end
  return held[1][2]
end
"""

# Which of `count` entries a replica holds: one look for all. More than are looked at may be held; then each is looked at.
HELD = (
    HOLDER
    + """
local function held_by(replica, stream, group, count)
  local mine = {}
  if count > 2 then
    local held = redis.pcall('XPENDING', stream, group, '-', '+', count + 256, replica)
    if not held.err then for _, one in ipairs(held) do mine[one[1]] = true end end
  end
  return function(entry) return mine[entry] or holder(stream, group, entry) == replica end
end
local function remove(stream, group, entries)
  if #entries == 0 then return end
  redis.call('XACK', stream, group, unpack(entries))
  redis.call('XDEL', stream, unpack(entries))
end
"""
)

# A reply to those who wait for it. A large one is kept once, with the request, and read there. The stream of a reader that lives on
# never expires: what it had minutes to read goes. (Who slept longer finds the reply with its request.)
DELIVER = """
local function deliver(prefix, reader, id, reply, limits)
  local replies, added = prefix .. reader, nil
  if #reply > tonumber(limits.large) then
    added = redis.call('XADD', replies, 'MAXLEN', '~', limits.replies, '*', 'ref', id)
  else
    added = redis.call('XADD', replies, 'MAXLEN', '~', limits.replies, '*', 'm', reply)
  end
  local now_ms = tonumber(string.match(added, '^%d+'))
  redis.call('XTRIM', replies, 'MINID', '~', string.format('%.0f', math.max(0, now_ms - UNREAD_MS)))
  return replies
end
""".replace("UNREAD_MS", str(UNREAD_MS))

# Registering a new id with its request spares the replica a round trip: what carries `r` was asked once, by this reader.
# What its asker had to send anew, because the server forgot it, is answered to the asker alone: nobody can know whether the output
# heard the first answer.
# KEYS: stream, state of each. ARGV: lane, unfinished ttl, most that may wait, then raw, id, hash, reader, '1' for what was sent
# before or '' of each.
SEND_MANY = """
local out, most = {}, tonumber(ARGV[3])
local waiting = redis.call('XLEN', KEYS[1])
for i = 2, #KEYS do
  local at, key = 4 + (i - 2) * 5, KEYS[i]
  local raw, id, hash, reader = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if waiting >= most then
    out[i - 1] = 'full'
  elseif not redis.call('HGET', key, 'hash') then
    local entry = redis.call('XADD', KEYS[1], '*', 'm', raw, 'i', id, 'r', '1')
    redis.call('HSET', key, 'hash', hash, 'at', ARGV[1] .. ' ' .. entry, 'to:' .. reader, '1')
    if ARGV[at + 4] == '1' then redis.call('HSET', key, 'alone', '1') end
    redis.call('EXPIRE', key, ARGV[2])
    out[i - 1] = 'new'
    waiting = waiting + 1
  else
    redis.call('XADD', KEYS[1], '*', 'm', raw, 'i', id)
    out[i - 1] = 'again'
    waiting = waiting + 1
  end
end
return out
"""

# What was done before goes to who asks again, alone: a client whose sending seemed to fail asks twice, and who listens to the
# output must not see it answered twice. Who has no reader asked by hand, and listens there.
# KEYS: stream, delayed, state of each. ARGV: group, replica, lane, stream of the other lanes without the lane, replies
# prefix, output, unfinished ttl, replies ttl, max replies, large, then entry, id, hash, reader of each.
BEGIN_MANY = (
    HELD
    + DELIVER
    + """
local stream, group, lane, prefix = KEYS[1], ARGV[1], ARGV[3], ARGV[4]
local limits = {replies = ARGV[9], large = ARGV[10]}
local mine = held_by(ARGV[2], stream, group, #KEYS - 2)
local out, gone = {}, {}
for i = 3, #KEYS do
  local at, key = 11 + (i - 3) * 4, KEYS[i]
  local entry, id, hash, reader = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local known = redis.call('HMGET', key, 'hash', 'at', 'state')
  local here, answer = lane .. ' ' .. entry, 'run'
  if not mine(entry) then
    answer = 'lost'
  elseif known[1] and known[1] ~= hash then
    answer = 'reused'
  elseif known[3] == 'done' then
    local reply = redis.call('HGET', key, 'reply')
    if reader ~= '' then
      redis.call('EXPIRE', deliver(ARGV[5], reader, id, reply, limits), ARGV[8])
    else
      redis.call('PUBLISH', ARGV[6], reply)
    end
    answer, gone[#gone + 1] = 'answered', entry
  else
    if known[2] and known[2] ~= here then
      local other, place = string.match(known[2], '^(%S+) (%S+)$')
      if other == 'delayed' and redis.call('ZSCORE', KEYS[2], id)
         or other ~= 'delayed' and #redis.call('XRANGE', prefix .. other, place, place) > 0 then
        if reader ~= '' then
          redis.call('HSET', key, 'to:' .. reader, '1')
        else
          redis.call('HDEL', key, 'alone')  -- who asked by hand listens to the output
        end
        answer, gone[#gone + 1] = 'joined', entry
      end
    end
    if answer ~= 'joined' then
      if known[3] == 'cancelled' then answer = 'cancelled' end
      redis.call('HSET', key, 'hash', hash, 'at', here)
      if reader ~= '' then redis.call('HSET', key, 'to:' .. reader, '1') end
      redis.call('EXPIRE', key, ARGV[7])
    end
  end
  out[i - 2] = answer
end
remove(stream, group, gone)
return out
"""
)

# A dead letter: what the stream holds of a request, why it is dead, and how often it was tried.
BURY = """
local function bury(dead, most, stream, lane, entry, reason, attempts)
  local found = redis.call('XRANGE', stream, entry, entry)
  if #found == 0 then return end
  local letter = found[1][2]
  for _, word in ipairs({'lane', lane, 'reason', reason, 'attempts', attempts}) do letter[#letter + 1] = word end
  redis.call('XADD', dead, 'MAXLEN', '~', most, '*', unpack(letter))
end
"""

# KEYS: stream, dead, state of each. ARGV: group, replica, lane, replies prefix, output, done retention, replies ttl, max
# replies, large, max dead, then entry, id, reply, and how it ends, of each: '' answered, 'cancelled' when the reply says
# so, or 'dead <attempts> <reason>'.
FINISH_MANY = (
    HELD
    + DELIVER
    + BURY
    + """
local stream, group = KEYS[1], ARGV[1]
local limits = {replies = ARGV[8], large = ARGV[9]}
local mine = held_by(ARGV[2], stream, group, #KEYS - 2)
local out, gone, readers = {}, {}, {}
for i = 3, #KEYS do
  local at, key = 11 + (i - 3) * 4, KEYS[i]
  local entry, id, reply, ends = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local fields = mine(entry) and redis.call('HGETALL', key)
  local state, alone, waiting = nil, false, {}
  for n = 1, fields and #fields or 0, 2 do
    if fields[n] == 'state' then state = fields[n + 1] end
    if fields[n] == 'alone' then alone = true end
    if string.sub(fields[n], 1, 3) == 'to:' then waiting[#waiting + 1] = string.sub(fields[n], 4) end
  end
  if not fields then
    out[i - 2] = 'lost'
  elseif state == 'cancelled' and ends ~= 'cancelled' then
    out[i - 2] = 'cancelled'
  else
    for _, reader in ipairs(waiting) do readers[deliver(ARGV[4], reader, id, reply, limits)] = true end
    redis.call('HSET', key, 'state', 'done', 'reply', reply)
    redis.call('EXPIRE', key, ARGV[6])
    local attempts, reason = string.match(ends, '^dead (%d+) (.*)$')
    if reason then bury(KEYS[2], ARGV[10], stream, ARGV[3], entry, reason, attempts) end
    if not alone then redis.call('PUBLISH', ARGV[5], reply) end
    out[i - 2], gone[#gone + 1] = 'sent', entry
  end
end
for replies in pairs(readers) do redis.call('EXPIRE', replies, ARGV[7]) end
remove(stream, group, gone)
return out
"""
)

# Extending must not take a lease back that lapsed: XCLAIM alone would steal it from its new holder.
# KEYS: stream, state of each. ARGV: group, replica, entry of each.
EXTEND = (
    HELD
    + """
local out, held = {}, {}
local mine = held_by(ARGV[2], KEYS[1], ARGV[1], #KEYS - 1)
for i = 2, #KEYS do
  local entry = ARGV[i + 1]
  if not mine(entry) then
    out[i - 1] = 'lost'
  else
    held[#held + 1] = entry
    out[i - 1] = redis.call('HGET', KEYS[i], 'state') == 'cancelled' and 'cancelled' or 'held'
  end
end
if #held > 0 then
  held[#held + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(held))
end
return out
"""
)

# KEYS: stream. ARGV: group, entry, replica, consumer of what was given back, its idle time, deliveries counted.
RELEASE = (
    HOLDER
    + """
if holder(KEYS[1], ARGV[1], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[2], 'IDLE', ARGV[5], 'RETRYCOUNT', ARGV[6], 'JUSTID')
return 1
"""
)

# Put a request off: out of the stream and into the sorted set, with all that is needed to put it back.
# KEYS: stream, delayed, state. ARGV: group, replica, entry, id, lane, attempts made, delay in ms, ttl.
POSTPONE = (
    HELD
    + """
if holder(KEYS[1], ARGV[1], ARGV[3]) ~= ARGV[2] then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])
if #found == 0 then return 0 end
local now = redis.call('TIME')
local fields = found[1][2]
local raw, named = '', '1'
for n = 1, #fields, 2 do
  if fields[n] == 'm' then raw = fields[n + 1] end
  if fields[n] == 'n' then named = fields[n + 1] end
end
redis.call('HSET', KEYS[3], 'at', 'delayed ' .. ARGV[3], 'm', raw, 'n', named, 'lane', ARGV[5], 'a', ARGV[6])
redis.call('EXPIRE', KEYS[3], ARGV[8])
local due = redis.call('HGET', KEYS[3], 'state') == 'cancelled' and 0 or now[1] * 1000 + now[2] / 1000 + ARGV[7]
redis.call('ZADD', KEYS[2], due, ARGV[4])
remove(KEYS[1], ARGV[1], {ARGV[3]})
return 1
"""
)

# KEYS: delayed. ARGV: streams without the lane, states without the id, how many at most.
RESUME = """
local now, moved = redis.call('TIME'), 0
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now[1] * 1000 + now[2] / 1000, 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  local key = ARGV[2] .. id
  local kept = redis.call('HMGET', key, 'm', 'n', 'lane', 'a')
  if kept[1] then
    local entry = redis.call('XADD', ARGV[1] .. kept[3], '*', 'm', kept[1], 'i', id, 'n', kept[2], 'a', kept[4])
    redis.call('HSET', key, 'at', kept[3] .. ' ' .. entry)
    redis.call('HDEL', key, 'm', 'n', 'lane', 'a')
    moved = moved + 1
  end
  redis.call('ZREM', KEYS[1], id)
end
return moved
"""

# A consumer that still holds messages must not simply be deleted: they would never be delivered again.
# KEYS: streams. ARGV: group, replica, consumer of what was given back, its idle time.
RETIRE = """
for _, stream in ipairs(KEYS) do
  local held = redis.pcall('XPENDING', stream, ARGV[1], '-', '+', 10000, ARGV[2])
  if not held.err then
    for _, one in ipairs(held) do
      redis.call('XCLAIM', stream, ARGV[1], ARGV[3], 0, one[1],
                 'IDLE', ARGV[4], 'RETRYCOUNT', math.max(0, one[4] - 1), 'JUSTID')
    end
    redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2])
  end
end
return 1
"""

# What a replica that leaves has counted is added to the counts of all that left.
# KEYS: figures. ARGV: replica, the name of those that left.
FOLD = """
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return 0 end
local gone = cjson.decode(redis.call('HGET', KEYS[1], ARGV[2]) or '{"counts":{}}')
for name, value in pairs(cjson.decode(raw).counts) do gone.counts[name] = (gone.counts[name] or 0) + value end
redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(gone))
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""

# How long a lane is and since when; and of what no replica has taken, or one has given back. Not by XINFO's `lag`, which Redis 6 does not
# know. What was delivered and is done is deleted: what comes after the last one in work waits. Of what was given back it is not told
# which came first: no earlier than the first in work.
# KEYS: stream. ARGV: group, who holds what was given back. Returns entries, id of the first or '', not taken, id of the first of them or ''.
LANE = """
local function first(from)
  local found = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)
  return found[1] and found[1][1] or ''
end
local length = redis.call('XLEN', KEYS[1])
if length == 0 then return {0, '', 0, ''} end
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if held.err or held[1] == 0 then return {length, first('-'), length, first('-')} end
local returned = 0
for _, holder in ipairs(held[4]) do
  if holder[1] == ARGV[2] then returned = tonumber(holder[2]) end
end
local since = returned > 0 and held[2] or first('(' .. held[3])
return {length, first('-'), math.max(0, length - held[1] + returned), since}
"""

# One that waits for its next attempt is due at once: it has only to be answered.
# KEYS: state, delayed. ARGV: ttl, id.
WITHDRAW = """
if redis.call('HGET', KEYS[1], 'state') == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'cancelled')
redis.call('EXPIRE', KEYS[1], ARGV[1])
if redis.call('ZSCORE', KEYS[2], ARGV[2]) then redis.call('ZADD', KEYS[2], 0, ARGV[2]) end
return 1
"""

# KEYS: stream, dead. ARGV: group, replica, entry, lane, reply, replies stream or '', output, reason or '', attempts, max
# dead, max replies, replies ttl, raw. A message of the control channel stands in no stream: its entry is '' and raw says
# what it was.
REFUSE = (
    HELD
    + BURY
    + """
if ARGV[3] ~= '' then
  if holder(KEYS[1], ARGV[1], ARGV[3]) ~= ARGV[2] then return 0 end
  if ARGV[8] ~= '' then bury(KEYS[2], ARGV[10], KEYS[1], ARGV[4], ARGV[3], ARGV[8], ARGV[9]) end
  remove(KEYS[1], ARGV[1], {ARGV[3]})
elseif ARGV[8] ~= '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], '*', 'm', ARGV[13], 'reason', ARGV[8], 'attempts', ARGV[9])
end
if ARGV[6] ~= '' then
  redis.call('XADD', ARGV[6], 'MAXLEN', '~', ARGV[11], '*', 'm', ARGV[5])
  redis.call('EXPIRE', ARGV[6], ARGV[12])
end
redis.call('PUBLISH', ARGV[7], ARGV[5])
return 1
"""
)

# Put a dead letter back where it came from, its error forgotten.
# KEYS: dead. ARGV: entry, streams without the lane, states without the id, an id for one that had none.
REVIVE = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return nil end
local letter = {}
for n = 1, #found[1][2], 2 do letter[found[1][2][n]] = found[1][2][n + 1] end
local id = letter.i or ARGV[4]
local named = letter.i and (letter.n or '1') or '0'
local key = ARGV[3] .. id
if redis.call('HGET', key, 'state') == 'done' then redis.call('DEL', key) end
redis.call('XADD', ARGV[2] .. (letter.lane or 'light'), '*', 'm', letter.m, 'i', id, 'n', named)
redis.call('XDEL', KEYS[1], ARGV[1])
return id
"""

# Virtual scheduling (GCRA): a client may be `burst` requests ahead of its rate.
# KEYS: rate. ARGV: ms per request, burst. Returns 0, or the milliseconds to wait.
ADMIT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expected = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local early = expected + ARGV[1] - now - ARGV[1] * ARGV[2]
if early > 0 then return math.ceil(early) end
redis.call('SET', KEYS[1], expected + ARGV[1], 'PX', math.ceil(expected + ARGV[1] - now))
return 0
"""

# KEYS: bridge. ARGV: name, lease in ms.
HOLD_BRIDGE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# What only the holder of the bridge's lease may do, noted with the server's time for its successor.
# KEYS: bridge, entered. ARGV: name, mark, how many marks are kept.
AS_BRIDGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('TIME')
redis.call('RPUSH', KEYS[2], now[1] .. '.' .. string.format('%06d', now[2]) .. ' ' .. ARGV[2])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
"""

# A message without an id of its sender's got one at entry: seen again, it is this step that was sent twice, by a client
# that did not hear the first answer.
# KEYS: bridge, entered, stream, state. ARGV: name, mark, how many marks are kept, raw, id, named, lane, ttl.
ENTER = (
    "if ARGV[6] == '0' and redis.call('EXISTS', KEYS[4]) == 1 then return 1 end"
    + AS_BRIDGE
    + """
local entry = redis.call('XADD', KEYS[3], '*', 'm', ARGV[4], 'i', ARGV[5], 'n', ARGV[6])
if ARGV[6] == '0' then
  redis.call('HSET', KEYS[4], 'at', ARGV[7] .. ' ' .. entry)
  redis.call('EXPIRE', KEYS[4], ARGV[8])
end
return 1
"""
)

# KEYS: …, dead. ARGV: …, raw, reason, reply, output, max dead.
REJECT = (
    AS_BRIDGE
    + """
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', 'm', ARGV[4], 'reason', ARGV[5], 'attempts', 0)
redis.call('PUBLISH', ARGV[7], ARGV[6])
return 1
"""
)
