// Writes lessons as one HTML page that needs nothing else: no network, no fonts, readable without script and on paper.
#include <algorithm>

#include "tutorials/prose.h"
#include "tutorials/readers.h"

namespace tutorials {
namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fdfdfb;--soft:#666;--line:#d5d3cc;--code:#f3f2ed;--mark:#175e8c}
@media(prefers-color-scheme:dark){:root{--ink:#e4e2dc;--paper:#191a1b;--soft:#9b9a95;--line:#3c3d3e;--code:#232425;--mark:#7fbbe0}}
*{box-sizing:border-box}
html{scroll-padding-top:3.2rem}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.6 Georgia,"Noto Serif","Hiragino Mincho ProN","Yu Mincho","Noto Serif CJK JP",serif}
main,header{max-width:47rem;margin:0 auto;padding:0 1.2rem}
#bar{position:sticky;top:0;z-index:1;background:var(--paper);border-bottom:1px solid var(--line);font:14px/2.6rem system-ui,sans-serif}
#bar div{max-width:47rem;margin:0 auto;padding:0 1.2rem;display:flex;gap:1rem;white-space:nowrap}
#where{flex:1;overflow:hidden;text-overflow:ellipsis}
#bar button,.ask button{font:14px system-ui,sans-serif;color:inherit;background:none;border:1px solid var(--line);border-radius:4px;padding:.2rem .7rem;cursor:pointer;align-self:center}
h1{font-size:1.9rem;line-height:1.25;margin:2.2rem 0 .4rem}
h2{font-size:1.35rem;line-height:1.3;margin:3rem 0 .8rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3,h4{margin:1.6rem 0 .4rem}
h2 a.n{color:var(--soft);text-decoration:none;margin-right:.6rem;font-weight:normal}
a{color:var(--mark)}
.about,.src{color:var(--soft);font:14px/1.5 system-ui,sans-serif}
pre,code,.ask input{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,"Noto Sans Mono CJK JP",monospace}
code{font-size:.88em}
pre{font-size:13.5px;line-height:1.45;overflow-x:auto;margin:.9rem 0;padding:.7rem .9rem}
pre.code{background:var(--code);border-radius:4px;padding-left:0}
pre.code b{display:inline-block;width:3.2rem;margin-right:.9rem;text-align:right;color:var(--soft);font-weight:normal;user-select:none;-webkit-user-select:none}
pre.code i{color:var(--soft)}
pre.out{border-left:3px solid var(--mark);padding-top:.2rem;padding-bottom:.2rem}
pre.out+pre.out{margin-top:-.9rem}
.src{text-align:right;font-size:12px;margin:.9rem .2rem -.8rem}
[lang=ja]{line-height:1.8;border-left:1px solid var(--line);padding-left:.9rem}
ul[lang=ja],ol[lang=ja]{padding-left:2.2rem}
table{border-collapse:collapse;margin:1rem 0;font-size:.95em}
th,td{padding:.25rem .9rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{border-bottom-width:2px}
math[display=block]{margin:.6rem 0}
blockquote{margin:1rem 0;padding-left:1rem;border-left:3px solid var(--line)}
.ask{margin:1.1rem 0;padding:.8rem 1rem;border:1px solid var(--mark);border-radius:6px}
.ask p{margin:0 0 .5rem}
.ask input{font-size:15px;width:9rem;padding:.2rem .5rem;border:1px solid var(--line);border-radius:4px;background:var(--paper);color:inherit}
.ask output{display:block;margin-top:.4rem}
.ask details{margin-top:.4rem}
html:not(.js) .ask :is(input,button){display:none}
figure{margin:1.2rem 0}
figure svg{max-width:100%;height:auto;background:#fff;color:#111;border-radius:4px}
figcaption{color:var(--soft);font-size:.92em}
.ok{color:var(--soft);font:13px system-ui,sans-serif}
.fail{border:2px solid #b3261e;border-radius:4px;padding:.4rem .8rem;white-space:pre-wrap}
@media screen{.js .ask.open~*{display:none}}
@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--soft:#444;--line:#999;--code:#fff;--mark:#000}body{font-size:11pt}#bar,.ask button,.ask input{display:none}pre.code{border:1px solid #999}pre{white-space:pre-wrap;break-inside:avoid}h2{break-after:avoid}}
)css";

constexpr std::string_view script = R"js(
const steps=[...document.querySelectorAll('.step')],where=document.getElementById('where');
const at=()=>{let i=steps.findLastIndex(s=>s.getBoundingClientRect().top<90);return i};
const tell=()=>{const s=steps[Math.max(0,at())];if(s)where.textContent=s.dataset.where};
const go=d=>{let i=at()+d;if(i<0){scrollTo(0,0);history.replaceState(null,'','#');return}
  if(i<steps.length){steps[i].scrollIntoView();history.replaceState(null,'','#'+steps[i].id);tell()}};
document.documentElement.classList.add('js');
document.getElementById('back').onclick=()=>go(-1);
document.getElementById('next').onclick=()=>go(1);
addEventListener('scroll',tell,{passive:true});
addEventListener('keydown',e=>{if(e.target.matches('input,summary')||e.altKey||e.ctrlKey||e.metaKey)return;
  if(e.key=='ArrowRight')go(1);else if(e.key=='ArrowLeft')go(-1);else return;e.preventDefault()});
const number=(t,yn)=>{t=t.trim().toLowerCase();if(yn&&/^(y|yes|n|no)$/.test(t))return t[0]=='y'?1:0;
  const p=t.split('/').map(x=>x.trim()==''?NaN:Number(x));return p.length==1?p[0]:p.length==2?p[0]/p[1]:NaN};
for(const f of document.querySelectorAll('.ask')){
  const d=f.dataset,say=f.querySelector('output'),see=f.querySelector('details'),open=()=>{f.classList.remove('open')};
  f.classList.add('open');let tries=0;
  see.addEventListener('toggle',()=>{if(see.open)open()});
  f.onsubmit=e=>{e.preventDefault();const x=number(f.elements.a.value,d.yn);
    if(!isFinite(x)){say.textContent=d.yn?'yes or no, please':'a number, please: -0.25, 1/3, 2e-3';return}
    if(Math.abs(x-d.answer)<=d.tolerance){say.textContent='right: '+d.shown;open()}
    else if(d.hint&&!tries++)say.textContent='not yet. '+d.hint;
    else{say.textContent='you said '+f.elements.a.value+', it is '+d.shown;open()}}}
if(location.hash)document.getElementById(location.hash.slice(1))?.scrollIntoView();
tell();
)js";

std::string code_html(const std::string& line) {
  const std::size_t comment = line.find("//");
  if (comment == std::string::npos ||
      std::count(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(comment), '"') % 2 == 1)
    return escape_html(line);
  return escape_html(std::string_view(line).substr(0, comment)) + "<i>" +
         escape_html(std::string_view(line).substr(comment)) + "</i>";
}

struct Writer {
  std::string& page;
  const Recording& recording;
  void operator()(const Prose& prose) { page += prose_html(prose.markdown, prose.japanese ? " lang=\"ja\"" : ""); }
  void operator()(const Code& code) {
    page += fmt::format("<div class=\"src\">{}</div><pre class=\"code\">", escape_html(recording.file));
    for (const auto& [number, text] : code.lines) page += fmt::format("<b>{}</b>{}\n", number, code_html(text));
    page += "</pre>\n";
  }
  void operator()(const Question& q) {
    page += fmt::format(
        "<form class=\"ask\" data-answer=\"{}\" data-tolerance=\"{}\" data-shown=\"{}\" data-hint=\"{}\"{}>\n",
        q.answer, q.tolerance, q.answer_text(), escape_html(q.hint), q.yes_no ? " data-yn=\"1\"" : "");
    page += fmt::format(
        "<p><strong>Predict.</strong> {}</p>\n<input name=\"a\" autocomplete=\"off\" aria-label=\"your answer\"> "
        "<button>check</button>\n",
        inline_html(q.text));
    page += fmt::format("<output></output><details><summary>show me</summary>{}</details></form>\n",
                        escape_html(q.answer_text()));
  }
  void operator()(const Output& output) { page += "<pre class=\"out\">" + escape_html(output.text) + "</pre>\n"; }
  void operator()(const Figure& drawn) {
    page += "<figure>" + (drawn.svg.empty() ? "<pre>" + escape_html(drawn.plain) + "</pre>" : drawn.svg) +
            "<figcaption>" + inline_html(drawn.caption) + "</figcaption></figure>\n";
  }
};

void write_lesson(std::string& page, const Recording& recording, const std::string& prefix) {
  page += fmt::format("<h1 id=\"lesson-{}\">{} {}</h1>\n", recording.number, recording.number,
                      inline_html(recording.title));
  std::string about;
  for (const Parameter& p : recording.parameters)
    about += fmt::format(" {} = {} ({} to {})", p.name, number_text(p.value), number_text(p.low), number_text(p.high));
  if (!about.empty())
    page +=
        fmt::format("<p class=\"about\">Parameters:{}. Other values: <code>unroll lesson {} --set {}=...</code></p>\n",
                    escape_html(about), recording.number, escape_html(recording.parameters[0].name));
  std::size_t i = 0;
  for (const Step& step : recording.steps) {
    ++i;
    const std::string id = fmt::format("{}step-{}", prefix, i);
    page += fmt::format(
        "<section class=\"step\" id=\"{}\" data-where=\"{:02} {} · step {}/{}\">\n<h2><a class=\"n\" "
        "href=\"#{}\">{}</a>{}</h2>\n",
        id, recording.number, escape_html(recording.title), i, recording.steps.size(), id, i, inline_html(step.title));
    for (const Item& item : step.items) std::visit(Writer{page, recording}, item);
    std::size_t held = 0;
    for (const Check& c : step.checks) {
      if (c.holds)
        ++held;
      else
        page += fmt::format("<p class=\"fail\">does not hold ({}:{}): {}: got {}, claimed {}</p>\n",
                            escape_html(recording.file), c.line, escape_html(c.claim), escape_html(c.got),
                            escape_html(c.want));
    }
    if (held > 0)
      page += fmt::format("<p class=\"ok\">ok: {} check{} of this step hold{}</p>\n", held, held == 1 ? "" : "s",
                          held == 1 ? "s" : "");
    page += "</section>\n";
  }
  if (!recording.error.empty())
    page += "<p class=\"fail\">the lesson stopped: " + escape_html(recording.error) + "</p>\n";
}

}  // namespace

std::string html(const std::vector<Recording>& recordings) {
  const bool book = recordings.size() != 1;
  const std::string title = book ? "unroll: the lessons" : recordings[0].title;
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
      escape_html(title), style);
  page += "<nav id=\"bar\"><div><span id=\"where\">" + escape_html(title) +
          "</span><button id=\"back\" title=\"left arrow\">back</button><button id=\"next\" title=\"right "
          "arrow\">next</button></div></nav>\n<main>\n";
  if (book) {
    page += "<h1>unroll: the lessons</h1>\n<ol>\n";
    for (const Recording& r : recordings)
      page += fmt::format("<li value=\"{}\"><a href=\"#lesson-{}\">{}</a></li>\n", r.number, r.number,
                          inline_html(r.title));
    page += "</ol>\n";
  }
  for (const Recording& r : recordings) write_lesson(page, r, book ? fmt::format("lesson-{}-", r.number) : "");
  return page + "</main>\n<script>" + std::string(script) + "</script>\n</body>\n</html>\n";
}

}  // namespace tutorials
