#!lua name=xmdpt_q1
-- The queue: every change of a job's state, each one atomic step that also writes its event.
-- Not here: pictures, HTTP, who waits for whom. Called as FCALL q1_<name> 1 <prefix> args; the clock is the server's.
--
-- This part: which version of the functions this is. A server has one library, which serves processes of every version
-- that is running; the newest stays. So any change of these files raises the number, and must leave alone what processes
-- of earlier versions call and read:
--   * arguments and answers that are lists grow at their end only, and a new argument may be absent;
--   * records and JSON answers gain fields, and an absent field means what was so before there was one;
--   * whatever can't be changed so, gets another name.

local VERSION = 4

-- -> the number
local function version()
  return VERSION
end

redis.register_function{function_name = 'q1_version', callback = version, flags = {'no-writes', 'allow-oom'}}

