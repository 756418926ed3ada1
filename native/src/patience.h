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
    int64_t now = NowUs();
    if (until_ == 0) until_ = now + us_;
    return now < until_;
  }

  void Renew() { until_ = 0; }

 private:
  static int64_t NowUs() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  }

  int64_t us_;
  int64_t until_ = 0;
};

}  // namespace pinfold

#endif  // PINFOLD_NATIVE_PATIENCE_H_
