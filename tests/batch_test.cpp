// Work on many threads: done once each, the same bits however many there are, and what goes wrong comes back.
#include "rnn/batch.h"

#include <boost/test/unit_test.hpp>
#include <numeric>

using ad::Pool;
using ad::Tape;
using ad::Var;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

template <class E>
auto says(std::string a, std::string b = "") {
  return [=](const E& e) {
    const std::string text = e.what();
    const bool ok = text.find(a) != std::string::npos && text.find(b) != std::string::npos;
    if (!ok) BOOST_TEST_MESSAGE("the exception says: " << text);
    return ok;
  };
}

rnn::Network<> network() {
  std::srand(11);
  const Index d = 6, n = 2, m = 3;
  rnn::Network<> net;
  net.parameters = {MatrixXd::Random(d, d) * 0.6, MatrixXd::Random(d, n), VectorXd::Random(d), MatrixXd::Random(m, d),
                    VectorXd::Random(m)};
  net.h_0 = VectorXd::Random(d);
  net.alpha = 0.4;
  return net;
}
/// Sequences of different lengths.
std::vector<rnn::Sequence<>> batch(Index count) {
  std::vector<rnn::Sequence<>> all;
  for (Index i = 0; i < count; ++i)
    all.push_back({MatrixXd::Random(2, 5 + 7 * i % 40), MatrixXd::Random(3, 5 + 7 * i % 40)});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_)

std::atomic<std::size_t> sum_of_pieces{0};
void add_piece(std::size_t i) { sum_of_pieces += i; }

BOOST_AUTO_TEST_CASE(every_piece_is_done_once) {
  for (const unsigned threads : {1U, 2U, 3U, 8U}) {
    Pool pool(threads);
    BOOST_TEST(pool.threads() == threads);
    for (const std::size_t n : {0U, 1U, 2U, 3U, 100U, 1000U}) {
      std::vector<int> done(n);
      pool.run(n, [&](std::size_t i) { ++done[i]; });
      BOOST_TEST(std::accumulate(done.begin(), done.end(), 0) == static_cast<int>(n));
      BOOST_TEST((std::find_if(done.begin(), done.end(), [](int k) { return k != 1; }) == done.end()));
    }
  }
  BOOST_CHECK_EXCEPTION(Pool(0), std::invalid_argument, says<std::exception>("0 threads"));
  Pool(2).run(100, add_piece);  // any callable: a plain function too
  BOOST_TEST(sum_of_pieces == 99U * 100 / 2);
}

BOOST_AUTO_TEST_CASE(several_threads_do_take_part_and_stay) {
  Pool pool(2);
  std::mutex mutex;
  std::vector<std::thread::id> who;
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> arrived{0};
    pool.run(2, [&](std::size_t) {
      ++arrived;
      while (arrived < 2) std::this_thread::yield();  // each waits for the other: one thread alone would never end
      const std::lock_guard lock(mutex);
      who.push_back(std::this_thread::get_id());
    });
  }
  std::sort(who.begin(), who.end());
  BOOST_TEST((std::unique(who.begin(), who.end()) - who.begin()) == 2);
}

BOOST_AUTO_TEST_CASE(what_the_first_piece_throws_is_thrown) {
  for (const unsigned threads : {1U, 2U, 4U}) {
    Pool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> begun{0};
      BOOST_CHECK_EXCEPTION(pool.run(10000,
                                     [&](std::size_t i) {
                                       ++begun;
                                       if (i >= 20) throw std::runtime_error("piece " + std::to_string(i) + ".");
                                     }),
                            std::runtime_error, says<std::exception>("piece 20."));
      BOOST_TEST(begun < 10000);
    }
    int done = 0;
    pool.run(1, [&](std::size_t) { ++done; });  // it goes on working
    BOOST_TEST(done == 1);
  }
}

BOOST_AUTO_TEST_CASE(work_within_work_and_from_several_threads) {
  Pool pool(3);
  std::atomic<int> done{0};
  pool.run(10, [&](std::size_t) { pool.run(10, [&](std::size_t) { ++done; }); });
  BOOST_TEST(done == 100);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int k = 0; k < 20; ++k) pool.run(25, [&](std::size_t) { ++done; });
    });
  for (std::thread& t : callers) t.join();
  BOOST_TEST(done == 100 + 4 * 20 * 25);
}

BOOST_AUTO_TEST_CASE(each_thread_has_its_own_tape) {
  Pool pool(4);
  std::vector<double> derivative(200);
  pool.run(200, [&](std::size_t i) {
    Tape tape;
    const Var x = tape.input(static_cast<double>(i));
    Var y = x;
    for (int k = 0; k < 500; ++k) y = y + x * x;
    tape.reverse(y);
    derivative[i] = tape.adjoint(x);
  });
  for (std::size_t i = 0; i < 200; ++i) BOOST_TEST(derivative[i] == 1 + 1000 * static_cast<double>(i));
}

BOOST_AUTO_TEST_CASE(a_batch_has_the_same_bits_with_any_number_of_threads) {
  const auto net = network();
  for (const Index count : {1, 2, 64, 65, 130}) {
    const auto sequences = batch(count);
    Pool one(1);
    const auto want = rnn::batch_bptt(net, sequences, one);
    for (const unsigned threads : {2U, 3U, 5U}) {
      Pool pool(threads);
      const auto got = rnn::batch_bptt(net, sequences, pool);
      BOOST_TEST((rnn::flatten(got.gradient) == rnn::flatten(want.gradient)));
      BOOST_TEST((got.losses == want.losses));
      BOOST_TEST(got.loss == want.loss);
    }
    VectorXd sum = VectorXd::Zero(rnn::size(net.parameters));
    double loss = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const auto single = rnn::long_bptt(net, sequences[i]);
      sum += rnn::flatten(single.gradient);
      loss += single.loss;
      BOOST_TEST(want.losses(static_cast<Index>(i)) == single.loss);
    }
    BOOST_TEST((rnn::flatten(want.gradient) - sum).norm() <= 1e-13 * sum.norm());
    BOOST_TEST(want.loss == loss);
  }
}

BOOST_AUTO_TEST_CASE(sigmoid_cross_entropy_of_whole_vectors_does_not_cancel) {
  const VectorXd at = Eigen::Vector4d(40, 1e17, -30, 0.7), target = Eigen::Vector4d(1, 1, 0, 0.25);
  Tape tape;
  const ad::VarMatrix v = ad::input(tape, at), moving = ad::input(tape, target);
  const double expected = rnn::loss_t(rnn::Loss::sigmoid_ce, at, target);
  for (const ad::VarMatrix& y : {ad::VarMatrix(target), moving}) {
    const Var loss = rnn::loss_t(rnn::Loss::sigmoid_ce, v, y);
    BOOST_TEST(std::abs(loss.value() - expected) < 1e-15 * expected);
    tape.reverse(loss);
    const VectorXd delta = ad::adjoint(tape, v);
    BOOST_TEST(std::abs(delta(0) + std::exp(-40)) < 1e-15 * std::exp(-40));
    BOOST_TEST((delta(1) == 0 && std::abs(delta(2) - 1 / (1 + std::exp(30))) < 1e-15 * std::exp(-30)));
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_a_sequence_names_it) {
  const auto net = network();
  BOOST_CHECK_EXCEPTION(rnn::batch_bptt(net, {}), std::invalid_argument, says<std::exception>("no sequences"));
  auto sequences = batch(70);
  sequences[41].target = MatrixXd::Zero(2, 3);
  sequences[50].x = MatrixXd::Zero(2, 0);
  BOOST_CHECK_EXCEPTION(rnn::batch_bptt(net, sequences), std::invalid_argument,
                        says<std::exception>("sequence 41 of 70", "target"));
  sequences = batch(3);
  BOOST_CHECK_EXCEPTION(rnn::batch_bptt(net, sequences, Pool::shared(), {.bytes = 100}), std::invalid_argument,
                        says<std::exception>("sequence 0 of 3", "100 bytes are too few"));
}

BOOST_AUTO_TEST_SUITE_END()
