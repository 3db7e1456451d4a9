-- wrk's script: one predict call, built once; the result as one line of JSON. Arguments: the file with the body, and the
-- mean pause of each connection between two calls in milliseconds, 0 for none.
local pause = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Caller-Id"] = "alice"
  file:close()
  pause = tonumber(args[2])
  if pause > 0 then
    function delay() return math.random(0, math.floor(2 * pause + 0.5)) end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
