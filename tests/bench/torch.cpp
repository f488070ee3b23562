// libtorch on the vector RNN, in double, on one thread; what need not wait for the step before is one product, as by hand.
#include <torch/torch.h>

#include "vector_peer.h"

namespace {

using torch::Tensor;

/// A matrix of Eigen's as a tensor: the same numbers, not copied.
template <class M>
Tensor view(const M& m) {
  return torch::from_blob(const_cast<double*>(m.data()), {m.cols(), m.rows()}, torch::kFloat64).t();
}
template <class M>
Tensor variable(const M& m) {
  const Tensor all = view(m);
  return (M::ColsAtCompileTime == 1 ? all.squeeze(1) : all).set_requires_grad(true);
}
template <class M>
void read(M& m, const Tensor& variable) {
  const Tensor gradient = variable.grad().t().contiguous();
  m = Eigen::Map<const M>(gradient.data_ptr<double>(), m.rows(), m.cols());
}

double differentiate(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                     rnn::Parameters<double>& gradient) {
  const Tensor W_rec = variable(net.parameters.W_rec), W_in = variable(net.parameters.W_in),
               b_rec = variable(net.parameters.b_rec), W_out = variable(net.parameters.W_out),
               b_out = variable(net.parameters.b_out);
  const std::vector<Tensor> drive = torch::addmm(b_rec, view(sequence.x).t(), W_in.t()).unbind();  // W_in x_t + b_rec
  std::vector<Tensor> h{view(net.h_0).squeeze(1)};
  for (const Tensor& now : drive)
    h.push_back(torch::lerp(h.back(), torch::addmv(now, W_rec, h.back()).tanh(), net.alpha));
  h.erase(h.begin());
  const Tensor error = torch::addmm(b_out, torch::stack(h), W_out.t()) - view(sequence.target).t();
  const Tensor loss = 0.5 * error.square().sum();
  loss.backward();
  read(gradient.W_rec, W_rec);
  read(gradient.W_in, W_in);
  read(gradient.b_rec, b_rec);
  read(gradient.W_out, W_out);
  read(gradient.b_out, b_out);
  return loss.item<double>();
}

[[maybe_unused]] const bool added = [] {
  at::set_num_threads(1);
  bench::vector_peers().push_back({"libtorch", differentiate});
  return true;
}();

}  // namespace
