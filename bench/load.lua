-- For wrk: prints what was measured as one line of JSON; with a file after `--`, posts the requests in it.
--
--   wrk ... -s load.lua URL [-- FILE BYTES]
--
-- FILE holds whole requests of BYTES bytes each, one after the other; past its end it begins again.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  sent = 0
  rewound = 0
  if args[1] == nil then
    return
  end
  local bytes = tonumber(args[2])
  local file = assert(io.open(args[1], "rb"))
  file:setvbuf("full", 1048576)
  wrk.request = function()
    local request = file:read(bytes)
    if request == nil or #request < bytes then
      rewound = rewound + 1
      file:seek("set")
      request = file:read(bytes)
    end
    sent = sent + 1
    return request
  end
  request = wrk.request
end

function done(summary, latency, requests)
  local rewound = 0
  for _, thread in ipairs(threads) do
    rewound = rewound + thread:get("rewound")
  end
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration_s": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "rewound": %d, ' ..
    '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
    summary.requests, summary.duration / 1000000, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    rewound, e.connect, e.read, e.write, e.timeout, e.status))
end
