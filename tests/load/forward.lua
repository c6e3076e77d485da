-- wrk through a forward proxy, as a second opinion on `load get` and `load deny-get`:
--   wrk -t1 -c32 -d2s -s forward.lua http://127.0.0.1:PROXY -- ORIGIN_PORT get|deny
-- The last line of what it prints is JSON.
local kind, port, asked = "get", "0", 0

local function absolute(host)
   local authority = host .. ":" .. port
   return "GET http://" .. authority .. "/ HTTP/1.1\r\nHost: " .. authority .. "\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n"
end

function init(arguments)
   port, kind = arguments[1], arguments[2]
   allowed = absolute("allowed.test")
end

function request()
   if kind == "get" then
      return allowed
   end
   asked = asked + 1
   return absolute("d" .. asked % 100000 .. ".denied.test")
end

function done(summary, latency)
   local errors = summary.errors
   -- A refusal is an error to wrk, and here what was asked for.
   print(string.format('{"ops":%d,"rate":%.1f,"p50_us":%d,"p99_us":%d,"max_us":%d,"refused":%d,"errors":%d}',
      summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
      latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
