import { createHash } from 'node:crypto';
import { BUCKETS_PER_WINDOW } from './limit-store.js';

/** A Lua script and the name Redis knows it by. */
export interface LimitScript {
  readonly source: string;
  readonly sha: string;
}

/**
 * A window is a hash: one field per bucket (by its number modulo the ring) and
 *   t  the bucket the ring was last moved to
 *   s  the sum of all live buckets
 *   o  the oldest bucket with something in it (false = none)
 *   n  the newest one
 * so that a check reads five fields, whatever the window holds. Time is Redis's own, in milliseconds: the clocks of
 * the instances do not matter. A clock that steps back a little is held at `t`; one that jumps starts afresh.
 */
const WINDOW = `
local RING = ${BUCKETS_PER_WINDOW + 1}
local LAST = ${BUCKETS_PER_WINDOW}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function open(key, window)
  local width = window / LAST
  local cur = math.floor(now / width)
  local head = redis.call('HMGET', key, 't', 's', 'o', 'n', cur % RING)
  local w = { key = key, width = width, cur = cur, sum = tonumber(head[2]) or 0, oldest = tonumber(head[3]),
              newest = tonumber(head[4]), slot = tonumber(head[5]) or 0 }
  local last = tonumber(head[1])
  w.rolled = cur ~= last
  if not last then return w end
  if cur - last > LAST or last - cur > LAST then
    redis.call('DEL', key)
    w.sum = 0; w.oldest = nil; w.newest = nil; w.slot = 0
  elseif cur > last then
    local gone = {}
    for b = last - LAST, cur - LAST - 1 do gone[#gone + 1] = b % RING end
    for _, count in ipairs(redis.call('HMGET', key, unpack(gone))) do w.sum = w.sum - (tonumber(count) or 0) end
    redis.call('HDEL', key, unpack(gone))
    w.slot = 0
    if w.sum <= 0 then
      w.sum = 0; w.oldest = nil; w.newest = nil
    elseif w.oldest and w.oldest < cur - LAST then
      local fields = {}
      for b = cur - LAST, cur - 1 do fields[#fields + 1] = b % RING end
      w.oldest = nil
      for i, count in ipairs(redis.call('HMGET', key, unpack(fields))) do
        if (tonumber(count) or 0) > 0 then w.oldest = cur - LAST + i - 1 break end
      end
    end
    w.moved = true
  elseif cur < last then
    w.cur = last
    w.slot = tonumber(redis.call('HGET', key, last % RING)) or 0
  end
  return w
end

local function add(w, units)
  if units <= 0 then return end
  w.sum = w.sum + units
  w.slot = w.slot + units
  w.oldest = w.oldest or w.cur
  w.newest = w.cur
  w.moved = true
end

local function save(w)
  if not w.moved then return end
  redis.call('HSET', w.key, 't', w.cur, 's', w.sum, 'o', tostring(w.oldest or false), 'n', tostring(w.newest or false),
             w.cur % RING, w.slot)
  if w.rolled then redis.call('PEXPIRE', w.key, math.ceil(w.width * (RING + 1))) end
end

local function leaves_in(w, bucket)
  if not bucket then return 0 end
  return math.max(0, math.ceil((bucket + RING) * w.width - now))
end

local function frees_in(w, units)
  if not w.oldest then return 0 end
  local freed, fields = 0, {}
  for b = w.oldest, w.cur do fields[#fields + 1] = b % RING end
  for i, count in ipairs(redis.call('HMGET', w.key, unpack(fields))) do
    freed = freed + (tonumber(count) or 0)
    if freed >= units then return leaves_in(w, w.oldest + i - 1) end
  end
  return leaves_in(w, w.newest)
end
`;

/**
 * All windows or none.
 * KEYS: one per window. ARGV, five per window: limit, window ms, cost, floor, seed.
 * `floor` raises the count to what an instance still knows after Redis lost it, `seed` adds what an instance granted
 * while Redis was away; both are 0 in quiet times.
 * Returns {refused by (0 = nobody), retry after ms, then per window: used, grows in ms, empty in ms}.
 */
export const TAKE = script(`${WINDOW}
local windows, refused, retry = {}, 0, 0
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 5
  local w = open(key, tonumber(ARGV[a + 2]))
  add(w, math.max(0, tonumber(ARGV[a + 4]) - w.sum) + tonumber(ARGV[a + 5]))
  w.cost = tonumber(ARGV[a + 3])
  local over = w.sum + w.cost - tonumber(ARGV[a + 1])
  if over > 0 and refused == 0 then
    refused = i
    if w.moved then save(w) w.moved = false end
    if over <= 1 then retry = leaves_in(w, w.oldest) else retry = frees_in(w, over) end
  end
  windows[i] = w
end
local reply = { refused, retry }
for _, w in ipairs(windows) do
  if refused == 0 then add(w, w.cost) end
  save(w)
  reply[#reply + 1] = w.sum
  reply[#reply + 1] = leaves_in(w, w.oldest)
  reply[#reply + 1] = leaves_in(w, w.newest)
end
return reply
`);

/** KEYS[1] a window; ARGV: window ms, delta. Adds now, or takes the oldest units off. Returns what is left. */
export const CORRECT = script(`${WINDOW}
local w = open(KEYS[1], tonumber(ARGV[1]))
local delta = tonumber(ARGV[2])
if delta > 0 then
  add(w, delta)
  save(w)
  return w.sum
end
save(w)
if not w.oldest then return 0 end
local left = math.min(-delta, w.sum)
w.sum = w.sum - left
for b = w.oldest, w.cur do
  if left <= 0 then break end
  local field = b % RING
  local count = tonumber(redis.call('HGET', w.key, field)) or 0
  local taken = math.min(left, count)
  left = left - taken
  if taken == count then
    redis.call('HDEL', w.key, field)
    w.oldest = b + 1
  else
    redis.call('HSET', w.key, field, count - taken)
    w.oldest = b
  end
end
if w.sum <= 0 then w.sum = 0; w.oldest = nil; w.newest = nil end
redis.call('HSET', w.key, 's', w.sum, 'o', tostring(w.oldest or false), 'n', tostring(w.newest or false))
return w.sum
`);

/** KEYS[1] a user's slots; ARGV: limit, holder, lifetime ms. Returns 1 when there was room. */
export const ACQUIRE_SLOT = script(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[3]))
return 1
`);

/** KEYS: the slots of users; ARGV: lifetime ms, then one holder per key. Makes what is not there any more. */
export const RENEW_SLOTS = script(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + tonumber(ARGV[1]), ARGV[i + 1])
  redis.call('PEXPIRE', key, tonumber(ARGV[1]))
end
return #KEYS
`);

/**
 * An instance says that it lives. KEYS: instances, marker.
 * ARGV: instance id, lifetime ms, a fresh marker, and of its last heartbeat: until when it was to live, the marker.
 * Returns {live instances, the marker, until when it is to live}: another marker than last time means that Redis lost its
 * data. A Redis that remembers an older heartbeat than the last one, or none, has come back from a snapshot, which has the
 * marker; or others took this instance for dead, and then the totals are told once more, which changes next to nothing.
 */
export const HEARTBEAT = script(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local alive = now + tonumber(ARGV[2])
local remembered = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
local last = tonumber(ARGV[4])
local isOlder = last > 0 and (not remembered or remembered < last)
if isOlder and redis.call('GET', KEYS[2]) == ARGV[5] then redis.call('SET', KEYS[2], ARGV[3]) end
redis.call('ZADD', KEYS[1], alive, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('SET', KEYS[2], ARGV[3], 'NX')
return { redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2]), alive }
`);

function script(source: string): LimitScript {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}
