// The page of explorer.h: its look and its script, with @DATA@ where the boxes go.
#pragma once

#include <string_view>

namespace ad {

inline constexpr std::string_view explorer_page = R"page(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tape</title>
<style>
:root { --ink: #1c1c1c; --soft: #6b6b6b; --line: #c9c6bd; --paper: #fdfdfb; --box: #fff; --now: #d9822b; --up: #2f6db3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --soft: #a09d96; --line: #55524c; --paper: #1d1c1a; --box: #292825; --now: #f0a04b; --up: #6ea8e6; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); padding: .6rem 1rem; }
h1 { font: 600 1rem/1.3 ui-monospace, monospace; margin: 0 0 .4rem; overflow-wrap: anywhere; }
.bar { display: flex; gap: .5rem; align-items: center; flex-wrap: wrap; }
.bar input { flex: 1 1 14rem; accent-color: var(--now); }
button { font: inherit; color: inherit; background: var(--box); border: 1px solid var(--line); border-radius: 4px; padding: .1rem .6rem; cursor: pointer; }
#said { margin: .4rem 0 0; min-height: 1.5em; }
main { display: flex; align-items: flex-start; }
#picture { overflow-x: auto; flex: 1 1 auto; padding: .5rem 1rem; }
aside { flex: 0 0 21rem; position: sticky; top: 7.5rem; max-height: calc(100vh - 8rem); overflow-y: auto; padding: .5rem 1rem; border-left: 1px solid var(--line); }
@media (max-width: 50rem) { main { display: block; } aside { position: static; max-height: none; border-left: 0; border-top: 1px solid var(--line); } }
aside h2 { font: 600 1rem ui-monospace, monospace; margin: .3rem 0; overflow-wrap: anywhere; }
aside p { margin: .4rem 0; }
table { border-collapse: collapse; font: 13px ui-monospace, monospace; }
td, th { text-align: right; padding: .05rem .5rem .05rem 0; font-weight: normal; }
th { color: var(--soft); }
.wait { color: var(--soft); }
li { font: 13px/1.5 ui-monospace, monospace; }
ul { padding-left: 1.1rem; margin: .2rem 0; }
svg { display: block; font: 12px ui-monospace, monospace; }
.box rect { fill: var(--box); stroke: var(--soft); rx: 4px; }
.box text { fill: var(--ink); pointer-events: none; }
.box { cursor: pointer; }
.box.later rect { stroke-dasharray: 3 3; stroke: var(--line); }
.box.later text { fill: var(--soft); }
.box.now rect { stroke: var(--now); stroke-width: 2.5; }
.box.chosen rect { stroke-width: 2.5; }
.box .in { fill: var(--up); stroke: none; }
.edge { fill: none; stroke: var(--line); }
.edge.far { display: none; }
.edge.lit { display: inline; stroke: var(--now); stroke-width: 1.8; }
.edge.back { stroke: var(--up); }
.head { fill: var(--soft); }
.fold rect { fill: none; stroke: var(--line); stroke-dasharray: 2 4; }
.fold { cursor: pointer; }
</style>
</head>
<body>
<header>
<h1 id="title"></h1>
<div class="bar">
<button id="first" title="Home">|&lt;</button><button id="back" title="left arrow">&lt;</button>
<input id="slider" type="range" min="0" step="1" aria-label="step of the sweeps">
<button id="next" title="right arrow">&gt;</button><button id="turn" title="t: between the sweeps">loss</button><button id="last" title="End">&gt;|</button>
<span id="at"></span>
</div>
<p id="said"></p>
</header>
<main>
<div id="picture"></div>
<aside id="panel"></aside>
</main>
<script id="data" type="application/json">@DATA@</script>
<script>
'use strict';
const D = JSON.parse(document.getElementById('data').textContent), B = D.boxes;
const ops = B.map((b, i) => i).filter(i => !B[i].i), M = ops.length, order = new Map(ops.map((i, k) => [i, k]));
const $ = id => document.getElementById(id), W = 116, H = 34, DX = 160, DY = 52, LEFT = 10, TOP = 34;
const number = x => typeof x === 'number' ? String(+x.toPrecision(6)) : x;
const most = Math.max(1e-300, ...B.map(b => typeof b.g === 'number' ? b.g : 0));
const givers = B.map(() => []);
B.forEach((b, i) => b.h.forEach(h => givers[h[0]].push([i, h[1], h[2]])));
let step = 0, chosen = null, open = false;

// Which step of the reverse sweep op i is; before it everything it will get has arrived.
const when = i => 2 * M - order.get(i);
const computed = i => B[i].i || order.get(i) < step;
const handed = i => step >= when(i);
const arrived = i => givers[i].filter(g => handed(g[0]));
const now = () => step === 0 ? null : step <= M ? ops[step - 1] : ops[2 * M - step];

// A long run of columns folds in the middle.
function columns() {
  const all = D.columns.map((_, c) => c);
  return open || all.length <= 12 ? all : [...all.slice(0, 5), null, ...all.slice(-4)];
}
function el(name, attributes, parent, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  if (text !== undefined) e.textContent = text;
  if (parent) parent.appendChild(e);
  return e;
}
let boxes = [], edges = [];
function draw() {
  const shown = columns(), x = new Map(), svg = el('svg', {role: 'img', 'aria-label': 'the recording'});
  shown.forEach((c, k) => { if (c !== null) x.set(c, LEFT + k * DX); });
  const width = LEFT + shown.length * DX, height = TOP + D.rows * DY + 10;
  svg.setAttribute('width', width), svg.setAttribute('height', height);
  shown.forEach((c, k) => {
    if (c !== null) return void el('text', {x: LEFT + k * DX, y: 18, class: 'head'}, svg, D.columns[c]);
    const g = el('g', {class: 'fold', tabindex: 0}, svg), hidden = D.columns.length - shown.length + 1;
    el('rect', {x: LEFT + k * DX, y: TOP, width: W, height: height - TOP - 20, rx: 4}, g);
    el('text', {x: LEFT + k * DX + 8, y: TOP + 20, class: 'head'}, g, D.columns[5] + ' ..');
    el('text', {x: LEFT + k * DX + 8, y: TOP + 38, class: 'head'}, g, D.columns[4 + hidden] + '  x' + hidden);
    g.onclick = () => { open = true; draw(); show(); };
    g.onkeydown = e => { if (e.key === 'Enter') g.onclick(); };
  });
  const place = b => ({x: x.get(b.c), y: TOP + b.r * DY});
  boxes = [], edges = [];
  B.forEach((b, i) => b.a.forEach(o => {
    if (!x.has(b.c) || !x.has(B[o].c)) return;
    const p = place(B[o]), q = place(b), same = B[o].c === b.c, down = q.y > p.y;
    const d = same
      ? (q.y - p.y === DY ? `M${p.x + W / 2} ${p.y + H}V${q.y}` : `M${p.x + W} ${p.y + H / 2}C${p.x + W + 26} ${p.y + H / 2},${q.x + W + 26} ${q.y + H / 2},${q.x + W} ${q.y + H / 2}`)
      : `M${p.x + W} ${p.y + H / 2}C${p.x + W + 40} ${p.y + H / 2},${q.x - 40} ${q.y + H / 2},${q.x} ${q.y + H / 2}`;
    edges.push({e: el('path', {d, class: 'edge'}, svg), from: o, to: i, far: B[o].i && B[o].c === 0});
  }));
  B.forEach((b, i) => {
    if (!x.has(b.c)) return;
    const p = place(b), g = el('g', {class: 'box', tabindex: 0, transform: `translate(${p.x} ${p.y})`}, svg);
    el('rect', {width: W, height: H}, g);
    const fill = el('rect', {class: 'in', width: W, height: H, opacity: 0}, g);
    const small = b.l.length > 14 ? b.l.slice(0, 13) + '..' : b.l;
    el('text', {x: 7, y: 14}, g, small);
    const value = el('text', {x: 7, y: 28, class: 'head'}, g, '');
    el('title', {}, g, b.l + (b.i ? '' : ' = ' + b.o));
    g.onclick = () => { chosen = chosen === i ? null : i; show(); };
    g.onkeydown = e => { if (e.key === 'Enter') g.onclick(); };
    g.onmouseenter = () => light(i), g.onmouseleave = () => light(chosen);
    boxes.push({g, fill, value, i});
  });
  $('picture').replaceChildren(svg);
}
function light(i) {
  for (const d of edges) d.e.setAttribute('class', 'edge' + (d.far ? ' far' : '') + (i !== null && (d.from === i || d.to === i) ? ' lit' : '') + (handed(d.to) && order.has(d.to) ? ' back' : ''));
}
function show() {
  const at = now(), reverse = step > M;
  for (const {g, fill, value, i} of boxes) {
    const b = B[i], got = arrived(i).length, done = i === D.output ? step > M || step === M : got > 0;
    g.setAttribute('class', 'box' + (computed(i) ? '' : ' later') + (i === at ? ' now' : '') + (i === chosen ? ' chosen' : ''));
    value.textContent = !computed(i) ? '' : b.n > 1 ? b.n + ' numbers' : number(b.v[0]);
    const size = typeof b.g === 'number' ? b.g : most;
    fill.setAttribute('opacity', reverse && done && size > 0 ? .12 + .5 * Math.max(0, 1 + Math.log10(size / most) / 4) : 0);
  }
  light(chosen);
  $('slider').max = 2 * M, $('slider').value = step;
  $('at').textContent = step + ' / ' + 2 * M;
  $('said').textContent = step === 0 ? 'Nothing is computed yet. The inputs are there.'
    : !reverse ? 'forward: ' + B[at].l + ' = ' + B[at].o + (B[at].n === 1 ? ' = ' + number(B[at].v[0]) : '')
    : 'reverse: ' + B[at].l + ' hands out ' + (B[at].h.map(h => B[h[0]].l + ' += ' + h[1] + (typeof h[2] === 'number' ? '  (' + (B[at].n > 1 || B[h[0]].n > 1 ? '|' + number(h[2]) + '|' : number(h[2])) + ')' : '')).join(',  ') || 'nothing');
  panel(chosen === null ? at : chosen);
  const state = new URLSearchParams({s: step});
  if (chosen !== null) state.set('v', B[chosen].l);
  if (open) state.set('open', 1);
  history.replaceState(null, '', '#' + state);
}
function panel(i) {
  const p = $('panel');
  p.replaceChildren();
  const add = (tag, text, c) => { const e = document.createElement(tag); e.textContent = text; if (c) e.className = c; p.appendChild(e); return e; };
  if (i === null) {
    add('p', 'Move the slider, or the arrow keys, to run the forward sweep and then the reverse sweep. Choose a box to see what it is made of. Blue: how much adjoint has arrived. t jumps to the loss.');
    return;
  }
  const b = B[i], got = arrived(i), coming = givers[i].filter(g => !handed(g[0]));
  add('h2', b.l);
  add('p', b.i ? 'an input' + (b.n > 1 ? ', ' + b.n + ' numbers' : '') : '= ' + b.o);
  const complete = step >= M && coming.length === 0;
  if (computed(i)) {
    const t = document.createElement('table'), row = cells => { const r = t.insertRow(); cells.forEach(c => r.insertCell().textContent = c); return r; };
    const head = ['', 'value'].concat(b.t ? ['tangent'] : [], complete ? ['adjoint'] : []);
    row(head);
    b.v.forEach((v, k) => row([b.n > 1 ? k : '', number(v)].concat(b.t ? [number(b.t[k])] : [], complete ? [number(b.d[k])] : [])));
    if (b.n > b.v.length) row(['..', '(' + b.n + ' numbers)']);
    p.appendChild(t);
  }
  if (i === D.output) add('p', step >= M ? 'adjoint 1: the sweep begins here' : '');
  if (givers[i].length) {
    add('p', 'Its adjoint is the sum of what its readers hand it' + (b.n > 1 ? ' (norms)' : '') + ':');
    const list = add('ul', ''), item = (g, waits) => { const li = document.createElement('li'); li.textContent = B[g[0]].l + ':  ' + g[1] + (waits ? '  still to come' : '  ' + number(g[2])); if (waits) li.className = 'wait'; list.appendChild(li); };
    const first = 40, all = [...got.map(g => [g, false]), ...coming.map(g => [g, true])];
    all.slice(0, first).forEach(([g, waits]) => item(g, waits));
    if (all.length > first) add('p', 'and ' + (all.length - first) + ' more', 'wait');
    if (!complete && step >= M) add('p', got.length + ' of ' + givers[i].length + ' have arrived', 'wait');
  }
}
function go(to) { step = Math.max(0, Math.min(2 * M, to)); show(); }
function read() {
  const state = new URLSearchParams(location.hash.slice(1));
  const named = state.get('v') === null ? -1 : B.findIndex(b => b.l === state.get('v'));
  chosen = named < 0 ? null : named;
  open = state.get('open') === '1';
  step = Math.max(0, Math.min(2 * M, parseInt(state.get('s') ?? '0', 10) || 0));
  const column = state.get('t') === null ? -1 : D.columns.indexOf('t=' + state.get('t'));
  if (column >= 0) step = 1 + Math.max(...ops.map((i, k) => B[i].c === column ? k : -1));
  draw(), show();
}
$('title').textContent = document.title = D.title;
$('slider').oninput = e => go(+e.target.value);
$('first').onclick = () => go(0), $('last').onclick = () => go(2 * M), $('turn').onclick = () => go(M);
$('back').onclick = () => go(step - 1), $('next').onclick = () => go(step + 1);
document.onkeydown = e => {
  if (e.target === $('slider') || e.ctrlKey || e.metaKey || e.altKey) return;
  const keys = {ArrowRight: step + 1, ArrowLeft: step - 1, Home: 0, End: 2 * M, t: M};
  if (e.key in keys) e.preventDefault(), go(keys[e.key]);
};
onhashchange = read;
read();
</script>
</body>
</html>
)page";

}  // namespace ad
