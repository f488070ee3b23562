# Makes rule_cases.json: every learning rule computed once more, from its definition, in plain numpy (1.24 of Debian 12).
#   python3 rule_cases.py > rule_cases.json
#   python3 rule_cases.py PROGRAM [COUNT]    compares `unroll gradient`, by hand and derived, at COUNT random cases a rule
# A case is a network file with "rule", and what that rule gives: "gradient", and "per_step" as released. Dense and slow on
# purpose: J_t is a matrix, P_t a tensor P[i, j, l] = dh_i/dW_jl with W = [W_rec | W_in | b_rec].
import json, subprocess, sys
import numpy as np

sigmoid = lambda u: 1 / (1 + np.exp(-u))
F = {  # f, f'
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2),
    "relu": (lambda u: np.where(u > 0, u, 0.0), lambda u: np.where(u > 0, 1.0, 0.0)),
    "sigmoid": (sigmoid, lambda u: sigmoid(u) * sigmoid(-u)),
    "softplus": (lambda u: np.log1p(np.exp(u)), sigmoid),
    "identity": (lambda u: u, np.ones_like),
}
LOSS = {  # L_t, e_t = dL_t/dv_t
    "squared": (lambda v, y: np.sum((v - y) ** 2) / 2, lambda v, y: v - y),
    "softmax_ce": (lambda v, y: -y @ (v - np.log(np.exp(v).sum())), lambda v, y: np.exp(v) / np.exp(v).sum() * y.sum() - y),
    "sigmoid_ce": (lambda v, y: -y @ np.log(sigmoid(v)) - (1 - y) @ np.log(sigmoid(-v)), lambda v, y: sigmoid(v) - y),
    "tanh_squared": (lambda v, y: np.sum((np.tanh(v) - y) ** 2) / 2, lambda v, y: (np.tanh(v) - y) / np.cosh(v) ** 2),
}


class Run:
    """The network of a file over its sequence; [0] of every list is t = 1."""

    def __init__(self, c, theta=None, on_u=None, on_v=None):
        A = lambda key: np.array(c[key], float)
        f, slope = F[c["activation"]]
        self.alpha, self.x, self.y = c["alpha"], A("x"), A("target")
        self.W, self.W_out, self.b_out = np.hstack([A("W_rec"), A("W_in"), A("b_rec")[:, None]]), A("W_out"), A("b_out")
        W, W_out, b_out = theta if theta else (self.W, self.W_out, self.b_out)
        self.T, (self.d, self.k), self.n, self.m = len(self.x), self.W.shape, self.x.shape[1], len(b_out)
        W = W if W.ndim == 3 else [W] * self.T
        h, self.h, self.z, self.u, self.v, self.L, self.e, self.J = A("h_0"), [A("h_0")], [], [], [], [], [], []
        for t in range(self.T):
            z = np.concatenate([h, self.x[t], [1]])
            u = W[t] @ z + (0 if on_u is None else on_u[t])
            h = (1 - self.alpha) * h + self.alpha * f(u)
            v = W_out @ h + b_out + (0 if on_v is None else on_v[t])
            self.z.append(z), self.u.append(u), self.h.append(h), self.v.append(v)
            self.L.append(LOSS[c["loss"]][0](v, self.y[t])), self.e.append(LOSS[c["loss"]][1](v, self.y[t]))
        self.phi = [self.alpha * slope(u) for u in self.u]
        self.M = [np.outer(p, z) for p, z in zip(self.phi, self.z)]
        self.J = [(1 - self.alpha) * np.eye(self.d) + p[:, None] * self.W[:, : self.d] for p in self.phi]
        B = c.get("options", {}).get("feedback", "transpose")
        self.q = [(self.W_out if B == "transpose" else np.array(B)).T @ e for e in self.e]
        self.o, self.draws, self.state, self.file = c.get("options", {}), c.get("draws", []), c.get("state", {}), c
        self.zero = np.zeros((self.d, self.k))

    def start(self, name, otherwise):
        return np.array(self.state[name], float) if name in self.state else otherwise

    def credit(self, s, t):
        """What q_t hands down to h_s: J_{s+1}^T ... J_t^T q_t."""
        c = self.q[t]
        for r in range(t, s, -1): c = self.J[r].T @ c
        return c

    def block(self, t, s): return self.credit(s, t)[:, None] * self.M[s]

    def sensitivities(self, J=None, keep=None):
        P, immediate, i = np.zeros((self.d, self.d, self.k)), np.zeros((self.d, self.d, self.k)), np.arange(self.d)
        for t in range(self.T):
            immediate[i, i] = self.M[t]
            P = np.tensordot(self.J[t] if J is None else J[t], P, 1) + immediate
            if keep is not None: P = P * keep
            yield P


total = lambda blocks, zero: sum(blocks, zero)
by_P = lambda r, Ps: [np.tensordot(q, P, 1) for q, P in zip(r.q, Ps)]
ratio = lambda a, b: np.sqrt(np.linalg.norm(a) / np.linalg.norm(b)) if np.any(a) and np.any(b) else 1.0


def bptt(r): return [total((r.block(t, s) for t in range(s, r.T)), r.zero) for s in range(r.T)]
def rtrl(r): return by_P(r, r.sensitivities())
def double_sum(r): return [total((r.block(t, s) for s in range(t + 1)), r.zero) for t in range(r.T)]
def in_blocks(r, size, kept):
    G = [r.zero.copy() for _ in range(r.T)]
    for t in range(r.T):
        end = min(r.T - 1, t // size * size + size - 1)
        for s in range(t + 1):
            if kept(t, s): G[end] += r.block(t, s)
    return G
def hybrid(r): return in_blocks(r, r.o.get("block", 0) or r.d, lambda t, s: True)
def e_bptt(r): size = r.o["truncation"]; return in_blocks(r, size, lambda t, s: t // size == s // size)
def f_bptt(r): return [total((r.block(t, s) for t in range(s, min(r.T, s + r.o["truncation"]))), r.zero) for s in range(r.T)]
def snap(r):
    there = r.W[:, : r.d] != 0
    reach = np.eye(r.d, dtype=bool)
    for _ in range(r.o.get("n", 1) - 1): reach = reach | (there.astype(int) @ reach > 0)
    exists = np.hstack([there, np.ones((r.d, r.k - r.d), bool)])
    return by_P(r, r.sensitivities(keep=reach[:, :, None] * exists[None]))
def rflo(r, kappa=0.0):
    E, low, G = r.start("E", r.zero), 0 * r.zero, []
    for t in range(r.T):
        E = (1 - r.alpha) * E + r.M[t]
        low = kappa * low + E
        G.append(r.q[t][:, None] * low)
    return G
def e_prop(r): return rflo(r, r.o.get("lambda", 0))
def kernl(r):
    A, gamma, zeta = r.start("A", np.eye(r.d)), r.start("gamma", np.full(r.d, 0.8)), r.start("zeta", np.zeros(r.d))
    Omega, Gamma, E = r.start("Omega", np.zeros(r.d)), r.start("Gamma", np.zeros(r.d)), r.start("E", r.zero)
    lr, copy, G = r.o.get("lr", 5), r.h[0], []
    for t in range(r.T):
        u = r.W @ np.concatenate([copy + zeta, r.x[t], [1]])
        copy = (1 - r.alpha) * (copy + zeta) + r.alpha * F[r.file["activation"]][0](u)
        zeta = np.array(r.draws[t])
        kappa = np.maximum(0, 1 - gamma)
        Gamma = kappa * Gamma - Omega
        Omega = kappa * Omega + zeta
        E = kappa[:, None] * E + r.M[t]
        felt = copy + zeta if r.o.get("timing") == "aligned" else copy
        err = A @ Omega - (felt - r.h[t + 1])
        A, gamma = A - lr * np.outer(err, Omega), gamma - lr * (err @ A) * Gamma
        G.append((A.T @ r.q[t])[:, None] * E)
    return G
def uoro(r):
    A, B, G = r.start("A", np.zeros(r.d)), r.start("B", r.zero), []
    for t in range(r.T):
        nu = np.array(r.draws[t], float)
        JA, noisy = r.J[t] @ A, nu[:, None] * r.M[t]
        p0, p1 = ratio(B, JA), ratio(noisy, np.full(1, r.d**0.5))
        A, B = p0 * JA + p1 * nu, B / p0 + noisy / p1
        G.append(r.q[t] @ A * B)
    return G
def kf_rtrl(r):
    A, B, G = r.start("A", np.zeros(r.k)), r.start("B", np.zeros((r.d, r.d))), []
    for t in range(r.T):
        nu = r.draws[t]
        JB = r.J[t] @ B
        p0, p1 = ratio(JB, A), ratio(r.phi[t], r.z[t])
        A, B = nu[0] * p0 * A + nu[1] * p1 * r.z[t], nu[0] / p0 * JB + nu[1] / p1 * np.diag(r.phi[t])
        G.append(np.outer(r.q[t] @ B, A))
    return G
def r_kf_rtrl(r):
    A, B, G = r.start("A", np.zeros(r.d)), r.start("B", r.zero), []
    for t in range(r.T):
        nu = np.array(r.draws[t], float)
        JB, noisy = r.J[t] @ B, nu[:, None] * r.M[t]
        p0, p1 = ratio(JB, A), ratio(noisy, np.full(1, r.d**0.5))
        A, B = p0 * A + p1 * nu, JB / p0 + noisy / p1
        G.append(np.outer(A, r.q[t] @ B))
    return G
def dni(r, learns_J=False):
    Theta = r.start("Theta", None)
    bar, Jt, G = r.start("Thetabar", Theta), r.start("Jt", r.W[:, : r.d]), []
    s = [np.concatenate([r.h[t], r.y[max(t - 1, 0)], [1]]) for t in range(r.T + 1)]
    for t in range(r.T):
        guess, before = bar @ s[t + 1], r.q[t - 1] if t > 0 else np.zeros(r.d)
        if learns_J:
            Jt = Jt - r.o["J_lr"] * np.outer(Jt @ r.h[t] - r.h[t + 1], r.h[t])
            target = before + Jt.T @ np.tanh(guess)
        else:
            target = before + r.J[t].T @ guess
        Theta = Theta - r.o["lr"] * np.outer(Theta @ s[t] - target, s[t])
        if (t + 1) % r.o.get("refresh", 5) == 0: bar = Theta
        G.append((Theta @ s[t + 1])[:, None] * r.M[t])
    return G
def dni_b(r): return dni(r, True)
def bp_lambda(r):
    Theta, E, G = r.start("Theta", None), np.zeros((r.d, r.d, r.d + 1)), []
    gamma, lam, i = r.o.get("gamma", 1), r.o.get("lambda", 1), np.arange(r.d)
    with_1 = [np.append(h, 1) for h in r.h]
    g = lambda t: Theta @ with_1[t + 1] if t < r.T - 1 else np.zeros(r.d)
    for t in range(r.T):
        if t > 0:
            E = gamma * lam * np.tensordot(r.J[t - 1], E, 1)
            E[i, i] += with_1[t]
            delta = r.J[t].T @ (r.q[t] + gamma * g(t)) - Theta @ with_1[t]
            Theta = Theta + r.o["lr"] * np.tensordot(delta, E, 1)
        G.append((r.q[t] + r.o.get("sg_factor", 1) * g(t))[:, None] * r.M[t])
    return G
def forward_gradient(r):
    V, hdot, G = np.array(r.draws[0]).reshape(r.k, r.d).T, np.zeros(r.d), []
    for t in range(r.T):
        hdot = r.J[t] @ hdot + r.phi[t] * (V @ r.z[t])
        G.append(r.q[t] @ hdot * V)
    return G
def weight_perturbation(r):
    xi, out = [], []
    for entry in r.draws:
        if len(entry) == 0: xi.append(xi[-1]), out.append(out[-1]); continue
        entry = np.array(entry)
        a, b = r.d * r.k, r.d * r.k + r.m * r.d
        xi.append(entry[:a].reshape(r.k, r.d).T)
        out.append((entry[a:b].reshape(r.d, r.m).T, entry[b:]) if len(entry) > a else (np.zeros((r.m, r.d)), np.zeros(r.m)))
    sigma, lam, trace, G = r.o["sigma"], r.o.get("lambda"), 0 * r.zero, []
    noisy = np.array([r.W + sigma * x for x in xi])
    for t in range(r.T):  # the readout's noise is that of the step
        L = Run(r.file, (noisy, r.W_out + sigma * out[t][0], r.b_out + sigma * out[t][1])).L[t]
        trace = xi[t] if lam is None else lam * trace + xi[t]
        G.append((L - r.L[t]) / sigma * trace)
    return G
def node_perturbation(r):
    xi, sigma, lam = np.array(r.draws), r.o["sigma"], r.o.get("lambda")
    noisy = Run(r.file, None, sigma * xi[:, : r.d], sigma * xi[:, r.d :] if xi.shape[1] > r.d else None)
    trace, G = 0 * r.zero, []
    for t in range(r.T):
        trace = (1 if lam is None else lam) * trace + np.outer(xi[t, : r.d], r.z[t])
        worse = noisy.L[t] - r.L[t]
        G.append(0 * r.zero if lam is None else worse / sigma * trace)
    if lam is None: G[-1] = (sum(noisy.L) - sum(r.L)) / sigma * trace
    return G
def activity_perturbation(r):
    xi, sigma = np.array(r.draws), r.o["sigma"]
    noisy = Run(r.file, None, sigma * xi[:, : r.d], sigma * xi[:, r.d :] if xi.shape[1] > r.d else None)
    moved = [a - b for a, b in zip(noisy.u, r.u)]
    scale = np.sqrt(r.n + r.d + r.m)
    return [scale * (noisy.L[t] - r.L[t]) * np.outer(moved[t] / (moved[t] @ moved[t]), r.z[t]) for t in range(r.T)]
def readout(r): return [r.zero] * r.T


RULES = {f.__name__.replace("_", "-"): f for f in [
    bptt, rtrl, double_sum, hybrid, e_bptt, f_bptt, snap, rflo, e_prop, kernl, uoro, kf_rtrl, r_kf_rtrl, dni, dni_b, bp_lambda,
    forward_gradient, weight_perturbation, node_perturbation, activity_perturbation, readout]}
FEEL_THE_LOSS = ["weight-perturbation", "node-perturbation", "activity-perturbation"]


def answer(c):
    r = Run(c)
    parts = [dict(W_in=G[:, r.d : -1], W_rec=G[:, : r.d], b_rec=G[:, -1], W_out=np.outer(e, h), b_out=e)
             for G, e, h in zip(RULES[c["rule"]](r), r.e, r.h[1:])]
    return {name: sum(part[name] for part in parts) for name in parts[0]}, parts


def case(rule, rng, activation=None, loss=None, longest=9):
    """A random file for this rule: other sizes, leak, activation, loss, options, draws and starts each time."""
    pick = lambda *a: a[rng.integers(len(a))]
    n, d, m, T = rng.integers(1, 5), rng.integers(2, 6), rng.integers(1, 4), rng.integers(4, longest + 1)
    c = {"rule": rule, "alpha": pick(1, 0.25, 0.4, 0.7), "activation": activation or pick(*F), "loss": loss or pick(*LOSS)}
    if c["loss"] == "softmax_ce": m = max(2, m)  # one output would cost nothing, whatever it says
    k = d + n + 1
    N = lambda *shape: rng.normal(size=shape).round(6)
    signs = lambda count: rng.choice([-1, 1], (T, count)).tolist()
    L = lambda a: np.asarray(a).tolist()
    y = {"squared": N(T, m), "tanh_squared": np.tanh(N(T, m)), "sigmoid_ce": rng.integers(0, 2, (T, m)) * 1.0,
         "softmax_ce": np.eye(m)[rng.integers(0, m, T)] if rng.integers(2) else rng.uniform(0.1, 1, (T, m))}[c["loss"]]
    W_rec = (1.2 / np.sqrt(d) * N(d, d)).round(6)
    if rule == "snap": W_rec[rng.uniform(size=(d, d)) < 0.5] = 0
    c.update(W_in=L(N(d, n)), W_rec=L(W_rec), b_rec=L(0.3 * N(d)), W_out=L(N(m, d)), b_out=L(N(m)), h_0=L(0.5 * N(d)),
             x=L(N(T, n)), target=L(y.round(6)))
    o, state = {}, {}
    if rule in ["e-bptt", "f-bptt"]: o["truncation"] = int(pick(1, 2, 3, T, T + 2))
    if rule == "hybrid": o["block"] = int(pick(0, 1, 3, T))
    if rule == "snap": o["n"] = int(pick(1, 2, 3))
    if rule == "e-prop": o["lambda"] = pick(0, 0.6)
    if rule in ["rflo", "e-prop"] and rng.integers(2): state["E"] = L(N(d, k))
    if rule == "kernl":
        o.update(lr=pick(0, 0.5, 5), sigma=0.001, timing=pick("reference", "aligned"))
        c["draws"] = L(0.05 * N(T, d))
        state.update(A=L(N(d, d)), gamma=L(rng.uniform(0, 1.2, d).round(6)), zeta=L(0.05 * N(d)))
        if rng.integers(2): state.update(E=L(N(d, k)), Omega=L(0.1 * N(d)), Gamma=L(0.1 * N(d)))
    if rule in ["uoro", "r-kf-rtrl"]: c["draws"] = signs(d); state.update(A=L(N(d)), B=L(N(d, k)))
    if rule == "kf-rtrl": c["draws"] = signs(2); state.update(A=L(N(k)), B=L(N(d, d)))
    if rule.endswith("rtrl") and rule != "rtrl" and rng.integers(3) == 0: state = {}
    if rule.startswith("dni"):
        o.update(lr=0.05, refresh=int(pick(1, 2, 5)))
        state["Theta"] = L(0.4 * N(d, d + m + 1))
        if rng.integers(2): state["Thetabar"] = L(0.4 * N(d, d + m + 1))
        if rule == "dni-b":
            o["J_lr"] = 0.02
            if rng.integers(2): state["Jt"] = L(0.4 * N(d, d))
    if rule == "bp-lambda":
        o.update(lr=pick(0, 0.05), gamma=pick(1, 0.9), sg_factor=pick(1, 0.4), **{"lambda": pick(0, 0.5, 1)})
        state["Theta"] = L(0.4 * N(d, d + 1))
    if rule == "forward-gradient": c["draws"] = [L(N(d * k))] + [[]] * (T - 1)
    if rule in FEEL_THE_LOSS:
        o["sigma"] = 0.1  # a difference of losses over sigma loses no more than a digit
        if rng.integers(2): o["perturb_outputs"] = True
        if rule != "activity-perturbation" and rng.integers(2): o["lambda"] = pick(0, 0.7, 1)
        count = d if rule != "weight-perturbation" else d * k
        if o.get("perturb_outputs"): count += m if rule != "weight-perturbation" else m * d + m
        c["draws"] = [L(N(count)) if rule != "weight-perturbation" or t == 0 or "lambda" in o else [] for t in range(T)]
    elif rng.integers(2) and rule != "readout":
        o["feedback"] = L(N(m, d))
    for name, given in [("options", o), ("state", state)]:
        if given: c[name] = given
    if c["activation"] == "relu" and min(np.abs(Run(c).u[t]).min() for t in range(T)) < 1e-3: return case(rule, rng, activation, loss, longest)
    return c


def differs(got, expected):
    """The largest difference over the largest number of any step: single steps may all but cancel."""
    worst = 0
    for name in expected[0]:
        a, b = (np.array([p[name] for p in parts]) for parts in (got, expected))
        worst = max(worst, np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1))
    return worst


if len(sys.argv) > 1:
    for rule in RULES:
        worst = {"": 0, "ad:": 0}
        for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 100):
            c = case(rule, np.random.default_rng(seed))
            gradient, parts = answer(c)
            exact = rule not in FEEL_THE_LOSS and not (rule == "kernl" and c["options"]["lr"] != 0)  # derived, those are limits
            text = json.dumps({k: v for k, v in c.items() if k != "rule"})
            for prefix in worst if exact else [""]:
                run = subprocess.run([sys.argv[1], "gradient", "-", "--per-step", "--rule", prefix + rule], input=text, text=True,
                                     capture_output=True)
                if run.returncode != 0: sys.exit(f"{rule}, seed {seed}: {run.stderr}\n{text}")
                got = json.loads(run.stdout)
                error = max(differs(got["per_step"], parts), differs([got["gradient"]], [gradient]))
                if error > 1e-12: print(f"{prefix}{rule}, seed {seed}: differs by {error}, {c.get('options')}")
                worst[prefix] = max(worst[prefix], error)
        print(f"{rule:24} by hand {worst['']:.1e}   derived {worst['ad:']:.1e}")
else:  # points where no mistake hides: alpha < 1, no size 1 but n, options that change the numbers
    telling = {"truncation": [2, 3], "block": [3], "n": [2], "lambda": [0.5, 0.6, 0.7], "lr": [0.05, 0.5], "refresh": [2], "gamma": [0.9],
               "sg_factor": [0.4]}
    cases, i = [], 0
    for rule in list(RULES) + ["kernl"]:
        while True:
            i += 1
            c = case(rule, np.random.default_rng(i), list(F)[len(cases) % 5], list(LOSS)[len(cases) % 4], 5)
            o, d = c.get("options", {}), len(c["b_rec"])
            if c["alpha"] < 1 and d in [3, 4] and 1 < len(c["b_out"]) != d and all(o.get(k, v[0]) in v for k, v in telling.items()): break
        gradient, parts = answer(c)
        plain = lambda part: {name: value.tolist() for name, value in part.items()}
        cases.append(c | {"gradient": plain(gradient), "per_step": [plain(p) for p in parts]})
    print(json.dumps({"cases": cases}))
