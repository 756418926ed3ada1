// What a thread can say about itself to the kernel: its number, its timer slack, its processors.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "arguments.h"
#include "modules.h"

namespace pinfold {

namespace {

napi_value SetTimerSlack(const Napi::CallbackInfo& info) {
  Arguments args(info, "prctl");
  uint64_t slack = args.Integer(0, "slackNs", 1, UINT32_MAX);
  if (!args.ok()) return args.Undefined();
  if (prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack)) == 0) return args.Undefined();
  return args.FailSystem(errno, "PR_SET_TIMERSLACK " + std::to_string(slack));
}

napi_value ThreadId(const Napi::CallbackInfo& info) {
  return Arguments(info, "gettid").Result(static_cast<double>(syscall(SYS_gettid)));
}

// pinThread(cpus: Float64Array)
napi_value PinThread(const Napi::CallbackInfo& info) {
  Arguments args(info, "sched_setaffinity");
  std::span<double> cpus = args.Doubles(0, "cpus");
  if (!args.ok()) return args.Undefined();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (double cpu : cpus) {
    uint64_t number;
    if (!ToInteger(cpu, CPU_SETSIZE - 1, &number)) {
      return args.Fail(EINVAL, "sched_setaffinity: cpu is " + ShowNumber(cpu) + ", expected an integer from 0 to " +
                                   std::to_string(CPU_SETSIZE - 1));
    }
    CPU_SET(number, &set);
  }
  if (sched_setaffinity(0, sizeof set, &set) == 0) return args.Undefined();
  return args.FailSystem(errno, std::to_string(CPU_COUNT(&set)) + " processors asked for, none of them available");
}

}  // namespace

void ExportThreads(napi_env env, napi_value exports) {
  ExportAll(env, exports,
            {
                Export<SetTimerSlack>("setTimerSlack"),
                Export<ThreadId>("threadId"),
                Export<PinThread>("pinThread"),
            });
}

}  // namespace pinfold
