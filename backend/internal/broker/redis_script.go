package broker

import "github.com/redis/go-redis/v9"

// roomPreamble reads how the room stands. A room that nobody published to has no keys, since
// anybody may ask for any: it stands at number 0 of an epoch that all such rooms share, its first
// message is number 1 of that, and so whoever saw it empty has missed nothing by then. The epoch is
// lost with the rooms of its server, and made anew when messages were lost. A room without meta
// whose other keys are there has lost its history: what is left goes with the first message.
//
// KEYS: meta, stream, retained, …; the last one holds the shared epoch, unless ARGV[2] is it or
// asks for it (see withLife). ARGV[1]: an epoch that no room had before.
//
// The meta hash has the epoch, the number n of the last message, the bytes of data in the stream,
// the time of the last message (at, in ms), the bytes and the number of the retained events
// (rbytes, rcount), the idempotency keys (keys), how often retained events were deleted (deleted),
// and "ms bytes" of each retained event (r:event). The retained hash has an empty field as well:
// while a cluster moves a slot, a server refuses a script of which some keys are there and others
// nowhere.
//
// A Redis whose memory is full refuses commands that need more (DEL, HDEL and EXPIRE are none), but
// only before the first write of a script. So each script that keeps something begins its writes
// with HSET, XADD or SET.
const roomPreamble = `
local time = redis.call('TIME')
local us = string.format('%.0f', time[1] * 1000000 + time[2])
local ms = tonumber(string.sub(us, 1, -4))
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'n', 'bytes', 'at', 'rbytes', 'rcount', 'keys', 'deleted')
local epoch, n = meta[1], tonumber(meta[2])
local known = epoch
if not known then
  epoch, n = ARGV[2], 0
  if epoch == '` + askEmptyEpoch + `' then return epoch end
  if epoch == '' then
    epoch = redis.call('GET', KEYS[#KEYS])
    if not epoch then
      epoch = ARGV[1]
      redis.call('SET', KEYS[#KEYS], epoch)
    end
  end
end
local function text(number) return string.format('%.0f', number) end
local function number(value) return tonumber(value or 0) end
`

// publishScript accepts one message. It answers "new epoch n" and, before and after, the cost of
// the history, the bytes and the number of retained events; "again epoch n digest" for an
// idempotency key that is known, both with the id of Redis's replication history behind them when
// that is asked for; "full" when no further event may be retained in the room; or
// "quota name".
//
// The stream's entries have the id n-µs, and the event in the field e, or r when it is retained.
// The stream is bounded in bytes at each message; in number and age at each sixteenth, and exactly
// when it is read. All of it goes when nothing was published for as long as messages are kept. In a
// warehouse that is near its quota of history it is bounded to what the room has and what is left.
//
// KEYS[4] and KEYS[5], with an idempotency key: the keys of the room, a hash of "ms epoch n digest"
// by key, and when each came, a sorted set; four that are too old go with each one that comes.
// ARGV[3…]: channel, event, data, retain, messages, age in ms, bytes, retained events,
// idempotency window in ms, attributes, PUBLISH or SPUBLISH, digest, idempotency key, age of
// retained events in ms (0 for any); then what the warehouse has left: rooms, history, retained
// bytes, retained events; then what [Retention] says: the name, the names that it drops, those that
// it keeps ("-" without Resets), each with a line break before and after; 0, or 1 where an alert
// ends, and its id; when it expires in ms, 0 for never. The field x:event of the meta hash is
// "expires" and the field r:event that it is of, since servers of before write that alone. Then
// whether the answer needs the id of the history, and the time in µs from which on nothing is done
// and "late µs" answered, 0 for never. What is published and retained is "epoch n µs retain
// attributes event\ndata"; see decodePayload.
var publishScript = redis.NewScript(roomPreamble + `
if ARGV[27] ~= '0' and tonumber(us) > tonumber(ARGV[27]) then return 'late ' .. us end
local history = ''
if ARGV[26] == '1' then history = ' ' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') end
local window, key = tonumber(ARGV[11]), ARGV[15]
local keyed = key ~= ''
if keyed then
  local at, first = string.match(redis.call('HGET', KEYS[4], key) or '', '^(%d+) (.*)$')
  if at and ms - at < window then return 'again ' .. first .. history end
end
local event, data, retain = ARGV[4], ARGV[5], ARGV[6] == '1'
local messages, age, most = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local retainAge = tonumber(ARGV[16])
local position = epoch .. ' ' .. text(n + 1)
local message = position .. ' ' .. us .. ' ' .. ARGV[6] .. ' ' .. ARGV[12] .. ' ' .. event .. '\n' .. data

if n == 0 and tonumber(ARGV[17]) <= 0 then return 'quota rooms' end
local length, keys, bytes = 0, 0, 0
if known then
  length = redis.call('XLEN', KEYS[2])
  if length > 0 then bytes = number(meta[3]) end
  if ms - number(meta[4]) < window then keys = number(meta[7]) end
end
local cost = bytes + 128 * length + 384 * keys -- messageCost, and about what a key takes
local before = cost
if keyed then keys = keys + 1 end
local allowed = cost + tonumber(ARGV[18])
if #data + 128 + 384 * keys > allowed then return 'quota history_bytes' end

local name, drops, keeps, expires = ARGV[21], ARGV[22], ARGV[23], tonumber(ARGV[25])
local ends, id = string.sub(ARGV[24], 1, 1) == '1', string.sub(ARGV[24], 2)
local function isKeyed(other) return string.find(other, ' ', 1, true) ~= nil end
local function isRemoved(other)
  local line = '\n' .. other .. '\n'
  return string.find(drops, line, 1, true) or keeps ~= '-' and isKeyed(other) and not string.find(keeps, line, 1, true)
end
local rbytes, rcount, stale, alike, exists = number(meta[5]), number(meta[6]), {}, 0, false
local rbytesBefore, rcountBefore = rbytes, rcount
local listed = false
if known and (retain or rcount > 0 and n % 16 == 0) then
  rbytes, rcount = 0, 0
  local fields, entries, expiry = redis.call('HGETALL', KEYS[1]), {}, {}
  for i = 1, #fields, 2 do
    local kind, other = string.match(fields[i], '^([rx]):(.*)$')
    if kind == 'r' then entries[other] = fields[i + 1] elseif kind then expiry[other] = fields[i + 1] end
  end
  local over, ended = {}, {}
  local function endAbout(alert)
    ended['ALERT_ACKNOWLEDGED ' .. alert], ended['ALERT_ESCALATED ' .. alert] = true, true
  end
  for other, entry in pairs(entries) do
    local at, of = string.match(expiry[other] or '', '^(%d+) (.*)$')
    if retainAge > 0 and ms - string.match(entry, '^%d+') >= retainAge or of == entry and ms >= tonumber(at) then
      over[other] = true
      local alert = string.match(other, '^ALERT (.*)$')
      if alert then endAbout(alert) end
    end
  end
  exists = retain and entries[name] and not over[name]
  local alert = retain and string.match(name, '^ALERT (.*)$')
  if alert then
    local snapshot = redis.call('HGET', KEYS[3], 'SHIFT_SNAPSHOT') or ''
    listed = string.find(snapshot, '"alerts"', 1, true) and string.find(snapshot, id, 1, true)
    if not exists and not listed then endAbout(alert) end
  end
  for other, entry in pairs(entries) do
    if over[other] or ended[other] or retain and isRemoved(other) then
      table.insert(stale, other)
    elseif not retain or other ~= name then
      rbytes, rcount = rbytes + string.match(entry, '%d+$'), rcount + 1
      if isKeyed(other) == isKeyed(name) then alike = alike + 1 end
    end
  end
end
local full = not exists and alike >= tonumber(ARGV[10])
if retain and ends and (full or not listed) then
  retain = false
  if exists then table.insert(stale, name) end
end
if retain then
  rbytes, rcount = rbytes + #message, rcount + 1
  if full then return 'full' end
  if not ends and rbytes > rbytesBefore and rbytes - rbytesBefore > tonumber(ARGV[19]) then return 'quota retained_bytes' end
  if not ends and rcount > rcountBefore and rcount - rcountBefore > tonumber(ARGV[20]) then return 'quota retained_events' end
end

if not known then
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'n', 0)
  redis.call('DEL', KEYS[2], KEYS[3])
end
redis.call('XADD', KEYS[2], text(n + 1) .. '-' .. us, ARGV[6] == '1' and 'r' or 'e', event, 'd', data)
if n == 0 then redis.call('PERSIST', KEYS[1]) end
if n % 16 == 0 then redis.call('HSETNX', KEYS[3], '', '') end
n, length, bytes = n + 1, length + 1, bytes + #data
if keyed then
  redis.call('HSET', KEYS[4], key, text(ms) .. ' ' .. position .. ' ' .. ARGV[14])
  redis.call('ZADD', KEYS[5], text(ms), key)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', text(ms - window), 'LIMIT', 0, 4)) do
    redis.call('HDEL', KEYS[4], old)
    redis.call('ZREM', KEYS[5], old)
  end
  redis.call('PEXPIRE', KEYS[4], window)
  redis.call('PEXPIRE', KEYS[5], window)
  keys = redis.call('HLEN', KEYS[4])
end
cost = bytes + 128 * length + 384 * keys
if bytes > most or cost > allowed or n % 16 == 0 then
  local keep
  repeat
    local oldest = redis.call('XRANGE', KEYS[2], keep and text(keep) or '-', '+', 'COUNT', 32)
    local more = #oldest == 32
    for _, entry in ipairs(oldest) do
      local of, at = string.match(entry[1], '^(%d+)-(%d+)$')
      if bytes <= most and cost <= allowed and of + messages > n and ms - at / 1000 < age then
        more = false
        break
      end
      keep, bytes, cost = of + 1, bytes - #entry[2][4], cost - #entry[2][4] - 128
    end
  until not more
  if keep then redis.call('XTRIM', KEYS[2], 'MINID', text(keep)) end
end
redis.call('PEXPIRE', KEYS[2], age)
redis.call('HSET', KEYS[1], 'n', text(n), 'bytes', text(bytes), 'at', text(ms), 'rbytes', text(rbytes),
  'rcount', text(rcount), 'keys', text(keys))
for _, other in ipairs(stale) do
  redis.call('HDEL', KEYS[1], 'r:' .. other, 'x:' .. other)
  redis.call('HDEL', KEYS[3], other)
end
if retain then
  local at = ms -- what expires sooner counts as retained for longer
  if expires > 0 and retainAge > 0 then at = math.max(0, math.min(ms, expires - retainAge)) end
  local entry = text(at) .. ' ' .. text(#message)
  redis.call('HSET', KEYS[1], 'r:' .. name, entry)
  if expires > 0 then redis.call('HSET', KEYS[1], 'x:' .. name, text(expires) .. ' ' .. entry)
  else redis.call('HDEL', KEYS[1], 'x:' .. name) end
  redis.call('HSET', KEYS[3], name, message)
  if retainAge > 0 then redis.call('PEXPIRE', KEYS[3], retainAge) else redis.call('PERSIST', KEYS[3]) end
end
redis.call(ARGV[13], ARGV[3], message)
return table.concat({'new', position, text(before), text(cost), text(rbytesBefore), text(rbytes), text(rcountBefore),
  text(rcount)}, ' ') .. history
`)

// stateScript answers {epoch, n, id of the last entry or nothing, how often retained events were
// deleted, retained values…}. ARGV[3]: the age of retained events in ms, 0 for any.
var stateScript = redis.NewScript(roomPreamble + `
local answer = {epoch, text(n), '', meta[8] or '0'}
if not known then return answer end
local entry = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if entry then answer[3] = entry[1] end
local age = tonumber(ARGV[3])
for _, value in ipairs(redis.call('HVALS', KEYS[3])) do
  local at = string.match(value, '^%S+ %S+ (%d+)')
  if at and (age == 0 or ms - at / 1000 < age) then table.insert(answer, value) end
end
return answer
`)

// historyScript answers {epoch, n, entries, forked, how often retained events were deleted} with at
// most ARGV[5] entries after the offset ARGV[3], ARGV[4], or after the oldest that is kept when the
// offset is not of this history. ARGV[6], ARGV[7]: the messages that are kept, and their age.
//
// ARGV[9] is 1 when the message at the offset was delivered by the one who asks, and ARGV[8], if
// not empty, the time in µs when it was accepted, by which it is recognized: offsets are given
// again when a Redis comes back that had lost its latest messages (a replica that lagged, an
// append-only file that was not written). The history has forked then, which is told by a new
// epoch. The meta hash remembers the old one (was) and the number of the last message that both
// have (fork), so that only what was lost is missed. Epochs begin with the time: when the room has
// an older one than was delivered, and not by a fork of that, Redis lost the newer epoch itself,
// and gives the older one's offsets again.
var historyScript = redis.NewScript(roomPreamble + `
local limit, age, stamp = tonumber(ARGV[5]), tonumber(ARGV[7]), ARGV[8]
local after = tonumber(ARGV[4])
local function at(number)
  local entry = redis.call('XRANGE', KEYS[2], text(number), text(number))[1]
  return entry and string.match(entry[1], '%d+$')
end
local forked, lost = 0, false
if ARGV[9] == '1' then
  if epoch == ARGV[3] then lost = after > n or known and stamp ~= '' and (at(after) or stamp) ~= stamp
  else lost = epoch < ARGV[3] and redis.call('HGET', KEYS[1], 'was') ~= ARGV[3] end
end
if lost then
  local fork = math.min(after, n)
  if epoch ~= ARGV[3] and stamp == '' then fork = 0 end
  while known and stamp ~= '' and fork > 0 and tonumber(at(fork) or 0) > tonumber(stamp) do fork = fork - 1 end
  epoch, forked = ARGV[1], 1
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'n', text(n), 'was', ARGV[3], 'fork', text(fork))
  if not known then
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[3], '', '')
  end
end
local deleted = meta[8] or '0'
if not known then return {epoch, text(n), {}, forked, deleted} end
local from = math.max(1, n - tonumber(ARGV[6]) + 1)
if epoch == ARGV[3] then
  if after > n then return {epoch, text(n), {}, forked, deleted} end
  from = math.max(from, after + 1)
else
  local past = redis.call('HMGET', KEYS[1], 'was', 'fork')
  if past[1] == ARGV[3] then
    local shared = tonumber(past[2])
    if stamp ~= '' and at(after) == stamp then shared = after end -- it has nothing of what was lost
    from = math.max(from, math.min(after, shared) + 1)
  end
end
local entries = {}
repeat
  local found = redis.call('XRANGE', KEYS[2], text(from), '+', 'COUNT', limit)
  for _, entry in ipairs(found) do
    local of, at = string.match(entry[1], '^(%d+)-(%d+)$')
    from = of + 1
    if ms - at / 1000 < age then table.insert(entries, entry) end
  end
until #entries > 0 or #found < limit
return {epoch, text(n), entries, forked, deleted}
`)

// deleteRetainedScript deletes what is retained of the event ARGV[3], and tells the subscribers:
// ARGV[4] is PUBLISH or SPUBLISH, ARGV[5] the channel, ARGV[6] the message, the last one the
// deadline in µs, after which nothing is done and -1 answered; 0 for none. It answers {whether
// there was one, rbytes and rcount before and after}.
var deleteRetainedScript = redis.NewScript(roomPreamble + `
if ARGV[7] ~= '0' and tonumber(us) > tonumber(ARGV[7]) then return {-1} end
if not known then return {0} end
local rbytes, rcount, bytes, count, found = number(meta[5]), number(meta[6]), 0, 0, 0
local of = ARGV[3] .. ' '
for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
  if name == ARGV[3] or string.sub(name, 1, #of) == of then
    local size = string.match(redis.call('HGET', KEYS[1], 'r:' .. name) or '', ' (%d+)$')
    if size then bytes, count = bytes + size, count + 1 end
    redis.call('HDEL', KEYS[3], name)
    redis.call('HDEL', KEYS[1], 'r:' .. name, 'x:' .. name)
    found = 1
  end
end
if found == 0 then return {0} end
if count > 0 then redis.call('HSET', KEYS[1], 'rbytes', text(rbytes - bytes), 'rcount', text(rcount - count)) end
redis.call('HINCRBY', KEYS[1], 'deleted', 1)
redis.call(ARGV[4], ARGV[5], ARGV[6])
return {1, rbytes, rbytes - bytes, rcount, rcount - count}
`)

// deleteRoomScript deletes all that is kept of a room, and tells the subscribers, as
// deleteRetainedScript does; KEYS[4] and KEYS[5] are its idempotency keys. Its new epoch stays, so
// that no offset is given again. It answers whether anything had been published.
var deleteRoomScript = redis.NewScript(roomPreamble + `
if ARGV[6] ~= '0' and tonumber(us) > tonumber(ARGV[6]) then return {-1} end
if not known or n == 0 then return {0} end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'n', 0, 'at', text(ms), 'deleted', number(meta[8]) + 1)
redis.call('HSET', KEYS[3], '', '')
redis.call(ARGV[3], ARGV[4], ARGV[5])
return {1}
`)
