-- Health of an object of northgate.dev: what its own conditions say, once they are about its newest version.
local found = {}
local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function holds(name)
  return found[name] ~= nil and found[name].status == "True"
end

local function health(word, condition)
  local message = "waiting for Northgate to judge this version"
  if condition ~= nil then
    message = condition.reason
    if condition.message ~= nil and condition.message ~= "" then
      message = condition.reason .. ": " .. condition.message
    end
  end
  return {status = word, message = message}
end

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "being deleted"}
end
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", nil)
end
if holds("Reconciling") then
  return health("Progressing", found.Reconciling)
end
if holds("Stalled") then
  return health("Degraded", found.Stalled)
end
if holds("Ready") then
  return health("Healthy", found.Ready)
end
return health("Progressing", found.Ready)
