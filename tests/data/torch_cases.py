# Makes torch_cases.json: reference numbers by PyTorch's autograd in float64 (Debian 12's python3-torch, 1.13).
#   python3 torch_cases.py > torch_cases.json
# In the file: index 0 of a list of times is t = 1, but of `h` it is h_0. L_t: 1/2 of a sum of squares, or sums over outputs.
import json, sys, torch

torch.set_default_dtype(torch.float64)
NAMES = ["Win", "Wrec", "brec", "Wout", "bout"]
F = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus, "identity": lambda u: u}
HEADS = {
    "identity+MSE": (lambda v, y: 0.5 * ((v - y) ** 2).sum(), lambda v: v),
    "softmax+cross-entropy": (lambda v, y: -(y * torch.log_softmax(v, 0)).sum(), lambda v: torch.softmax(v, 0)),
    "sigmoid+BCE": (lambda v, y: torch.nn.functional.binary_cross_entropy_with_logits(v, y, reduction="sum"), torch.sigmoid),
    "tanh output+MSE": (lambda v, y: 0.5 * ((torch.tanh(v) - y) ** 2).sum(), torch.tanh),
}


def case(name, seed, n, d, m, T, alpha, f, head, h0=False, hessian=False, blocks=True):
    g = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=g)
    while True:  # a relu too near its kink has no derivative worth comparing
        theta = [normal(d, n) / n**0.5, 1.2 * normal(d, d) / d**0.5, 0.3 * normal(d), normal(m, d) / d**0.5, 0.3 * normal(m)]
        x, h_0 = normal(T, n), (0.7 * normal(d) if h0 else torch.zeros(d))
        y = normal(T, m)
        if head.startswith("softmax"): y = torch.nn.functional.one_hot(y.argmax(1), m) * 1.0 if seed % 2 else torch.softmax(y, 1)
        if head.startswith("sigmoid"): y = (y > 0) * 1.0 if seed % 2 else torch.sigmoid(y)
        if head.startswith("tanh"): y = torch.tanh(y)

        def run(at, x=x, h_0=h_0):  # `at`: the parameters at each time, as in (1.6)
            h, out = [h_0], {k: [] for k in ["u", "v", "L"]}
            for t in range(T):
                W_in, W_rec, b_rec, W_out, b_out = at[t]
                out["u"].append(W_rec @ h[-1] + W_in @ x[t] + b_rec)
                h.append((1 - alpha) * h[-1] + alpha * F[f](out["u"][-1]))
                out["v"].append(W_out @ h[-1] + b_out)
                out["L"].append(HEADS[head][0](out["v"][-1], y[t]))
            return h, out

        if f != "relu" or min(u.abs().min() for u in run([theta] * T)[1]["u"]) > 1e-3: break

    leaf = lambda p: p.clone().requires_grad_()
    grad = lambda of, by: [torch.zeros_like(b) if r is None else r
                           for r, b in zip(torch.autograd.grad(of, by, retain_graph=True, allow_unused=True), by)]
    named = lambda parts: {k: p.tolist() for k, p in zip(NAMES, parts)}
    p, xs, start = [leaf(q) for q in theta], leaf(x), leaf(h_0)
    h, out = run([p] * T, xs, start)
    L = sum(out["L"])
    V = [normal(*q.shape) for q in theta]
    first = torch.autograd.grad(L, p, create_graph=True)
    jvp = sum((a * b).sum() for a, b in zip(first, V))
    hvp = grad(jvp, p)
    ps = [[leaf(q) for q in theta] for _ in range(T)]
    rows = [[grad(l, ps[s]) for s in range(t + 1)] for t, l in enumerate(run(ps)[1]["L"])]
    total = lambda parts: [sum(q) for q in zip(*parts)]
    r = {
        "name": name,
        "config": {"seed": seed, "n": n, "d": d, "m": m, "T": T, "alpha": alpha, "f": f, "head": head},
        "params": named(theta), "x": x.tolist(), "y_target": y.tolist(), "h0": h_0.tolist(),
        "u": [q.tolist() for q in out["u"]], "h": [q.tolist() for q in h], "v": [q.tolist() for q in out["v"]],
        "y": [HEADS[head][1](q).tolist() for q in out["v"]], "L_t": [l.item() for l in out["L"]], "L": L.item(),
        "grad": named(first), "grad_x": grad(L, [xs])[0].tolist(), "grad_h0": grad(L, [start])[0].tolist(),
        "delta": [q.tolist() for q in grad(L, h[1:])],
        "direction": named(V), "jvp": jvp.item(), "hvp": named(hvp), "vHv": sum((a * b).sum() for a, b in zip(hvp, V)).item(),
        "past_facing_dLt_dtheta": [named(total(row)) for row in rows],
        "future_facing_dL_dthetas": [named(total([rows[t][s] for t in range(s, T)])) for s in range(T)],
        "block_norms_Frobenius": {k: [[rows[t][s][i].norm().item() if s <= t else 0 for s in range(T)] for t in range(T)]
                                  for i, k in enumerate(NAMES)},
    }
    if blocks:
        r["blocks_dLt_dthetas"] = [[named(rows[t][s]) if s <= t else None for s in range(T)] for t in range(T)]
        r["J_t"] = [torch.stack([grad(h[t + 1][i], [h[t]])[0] for i in range(d)]).tolist() for t in range(T)]
        r["P_t_rec"] = [[{k: q.tolist() for k, q in zip(NAMES[:3], grad(h[t + 1][i], p[:3]))} for i in range(d)] for t in range(T)]
    if hessian:
        flat = lambda parts: torch.cat([q.reshape(-1) for q in parts])
        r["hessian_order"] = "concat of row-major Win,Wrec,brec,Wout,bout"
        r["hessian"] = [flat(grad(e, p)).tolist() for e in flat(first)]
    return r


def every(seed=1000):  # all activations with all losses
    return [case(f"{f}, {head}", seed + 10 * i + k, 3, 5, 4 if k == 1 else 2, 9, [0.3, 0.7, 1.0, 0.15][k], f, head, h0=i % 2 == 1)
            for i, f in enumerate(F) for k, head in enumerate(HEADS)]


cases = every() if "--all" in sys.argv else [
    case("tanh, squared, hessian", 1, 1, 2, 1, 3, 0.4, "tanh", "identity+MSE", hessian=True),
    case("softplus, softmax, h_0", 2, 2, 3, 3, 4, 0.3, "softplus", "softmax+cross-entropy", h0=True),
    case("relu, sigmoid", 3, 2, 4, 3, 5, 0.6, "relu", "sigmoid+BCE", blocks=False),
    case("sigmoid, tanh output, h_0", 4, 3, 2, 2, 5, 0.8, "sigmoid", "tanh output+MSE", h0=True, blocks=False),
    case("identity, softmax, Elman", 5, 2, 3, 2, 4, 1.0, "identity", "softmax+cross-entropy", blocks=False),
]
print(json.dumps({"source": f"PyTorch autograd {torch.__version__}, float64", "cases": cases}))
