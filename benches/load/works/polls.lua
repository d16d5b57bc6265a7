-- Asks for the orders of the file that POLLS names, in turn: lines of order and ticket.
local requests = {}
local next_request = 0

function init(_)
  for line in io.lines(os.getenv("POLLS")) do
    local order, ticket = line:match("(%S+) (%S+)")
    requests[#requests + 1] = wrk.format("GET", "/v1/payments/" .. order, { Authorization = "Bearer " .. ticket })
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
