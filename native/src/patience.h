// Asking again and again for a while, where going to sleep would cost more than what is asked for takes to come.
#ifndef PINFOLD_NATIVE_PATIENCE_H_
#define PINFOLD_NATIVE_PATIENCE_H_

#include <time.h>

#include <cstdint>

namespace pinfold {

constexpr uint64_t kMaxPatienceUs = 10'000;

class Patience {
 public:
  explicit Patience(uint64_t us) : us_(static_cast<int64_t>(us)) {}

  bool HasAny() const { return us_ > 0; }

  // False once that time has passed since the first question, or since Renew().
  bool AskAgain() {
    if (us_ == 0) return false;
    int64_t now = NowNs();
    if (until_ == 0) until_ = now + us_ * 1000;
    return now < until_;
  }

  // Lets time pass between two questions, without giving the CPU away.
  static void Pause(int64_t ns) {
    int64_t until = NowNs() + ns;
    while (NowNs() < until) Relax();
  }

  void Renew() { until_ = 0; }

 private:
  static int64_t NowNs() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  // A sibling of this CPU may have its parts meanwhile.
  static void Relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  int64_t us_;
  int64_t until_ = 0;
};

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_PATIENCE_H_
