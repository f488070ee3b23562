// Many independent pieces of work on all cores, each piece with a tape of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace ad {

/// Threads that stay: a tape finds the memory of its thread's last one, warm. A piece of work goes to whichever thread is
/// free; if each leaves its result at a place of its own, to be added up in order afterwards, the bits do not depend on
/// the number of threads.
class Pool {
 public:
  /// So many threads, the one that calls run() among them. Throws std::invalid_argument for none.
  explicit Pool(unsigned threads = std::max(1U, std::thread::hardware_concurrency())) {
    if (threads == 0) throw std::invalid_argument("ad::Pool: 0 threads");
    try {
      while (workers_.size() + 1 < threads) workers_.emplace_back([this] { wait_for_work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { stop(); }

  /// One for all, with as many threads as there are cores.
  static Pool& shared() {
    static Pool pool;
    return pool;
  }
  std::size_t threads() const { return workers_.size() + 1; }

  /// Calls piece(0) ... piece(n - 1) and returns when all are done. Where pieces throw, no more are begun, and what the
  /// first of them, by number, threw is thrown here. In a piece, run() does all its work in the thread of that piece.
  template <class F>
  void run(std::size_t n, F&& piece) {
    if (in_a_piece_ || workers_.empty() || n < 2) {
      for (std::size_t i = 0; i < n; ++i) piece(i);
      return;
    }
    const auto call = [&piece](std::size_t i) { piece(i); };
    Work work{n, [](const void* f, std::size_t i) { (*static_cast<decltype(&call)>(f))(i); }, &call};
    const std::lock_guard one_at_a_time(turn_);
    {
      const std::lock_guard lock(mutex_);
      work_ = &work;
      ++number_;
    }
    wake_.notify_all();
    help(work);
    std::unique_lock lock(mutex_);
    work_ = nullptr;  // who wakes up now goes back to sleep
    idle_.wait(lock, [&] { return helpers_ == 0; });
    if (work.error) std::rethrow_exception(work.error);
  }

 private:
  struct Work {
    std::size_t n;
    void (*call)(const void*, std::size_t);
    const void* piece;
    std::atomic<std::size_t> next{0};
    std::size_t failed = n;
    std::exception_ptr error{};
  };

  void help(Work& work) {
    in_a_piece_ = true;
    for (std::size_t i; (i = work.next.fetch_add(1)) < work.n;) {
      try {
        work.call(work.piece, i);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (i < work.failed) {
          work.failed = i;
          work.error = std::current_exception();
        }
        work.next = work.n;
      }
    }
    in_a_piece_ = false;
  }
  void wait_for_work() {
    std::unique_lock lock(mutex_);
    for (std::size_t done = 0;;) {
      wake_.wait(lock, [&] { return stop_ || (work_ && number_ != done); });
      if (stop_) return;
      done = number_;
      Work& work = *work_;
      ++helpers_;
      lock.unlock();
      help(work);
      lock.lock();
      if (--helpers_ == 0) idle_.notify_all();
    }
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
  }

  static inline thread_local bool in_a_piece_ = false;
  std::vector<std::thread> workers_;
  std::mutex turn_, mutex_;  // the second guards what follows
  std::condition_variable wake_, idle_;
  Work* work_ = nullptr;
  std::size_t number_ = 0, helpers_ = 0;
  bool stop_ = false;
};

}  // namespace ad
