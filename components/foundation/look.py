"""How every page of the suite looks: light, dark, on a phone and on paper."""

CSS = """
:root {
  color-scheme: light dark;
  --ink: #1c2426; --soft: #55646a; --paper: #fdfcf9; --card: #f4f2ec; --edge: #dcd8cd;
  --good: #0b6b3a; --bad: #a8321a; --link: #0a5f6e; --water: #2a93a5; --sand: #d8b26e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e9ebe8; --soft: #a3b0b3; --paper: #12181a; --card: #1a2225; --edge: #344045;
    --good: #62d49b; --bad: #ff9b80; --link: #6cc9d8; --water: #2f8797; --sand: #8c7342;
  }
  .c0 { color: #5ab1e8 } .c1 { color: #ff9150 } .c2 { color: #3fd0a5 }
  .c3 { color: #e59ac2 } .c4 { color: #f0b429 } .c5 { color: #9ccbf0 }
}
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 1.2rem 1rem 4rem }
h1 {
  font-size: 1.75rem; line-height: 1.2; margin: .5rem 0 .8rem; overflow-wrap: anywhere;
  text-wrap: balance; letter-spacing: -.01em;
}
h1::after {
  content: ""; display: block; height: 4px; width: 7rem; margin-top: .7rem; border-radius: 2px;
  background: linear-gradient(90deg, var(--water) 65%, var(--sand) 65%);
}
h2 {
  font-size: 1.3rem; line-height: 1.3; margin: 2.6rem 0 .5rem; padding-top: .9rem;
  border-top: 1px solid var(--edge);
}
h3 { font-size: 1.05rem; margin: 1.3rem 0 .4rem; overflow-wrap: anywhere }
h1, h2, h3, p, li, td, th, figcaption, summary, dd, b { unicode-bidi: plaintext }
p { margin: .4rem 0; max-width: 48rem; overflow-wrap: anywhere }
a { color: var(--link); text-underline-offset: .18em; text-decoration-thickness: from-font }
a:has(> data) { text-decoration-style: dotted }
:target { outline: 2px solid var(--water); outline-offset: .3rem; border-radius: .2rem }
code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere }
code.id { white-space: nowrap }
.soft { color: var(--soft); font-size: .92rem }
.lead { font-size: 1.12rem; max-width: 52rem }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(45%, 14rem), 1fr));
  gap: .7rem; margin: 1rem 0; padding: 0; list-style: none;
}
.facts li {
  background: var(--card); border: 1px solid var(--edge); border-radius: .5rem;
  padding: .6rem .8rem; font-size: .92rem; min-width: 0; overflow-wrap: anywhere;
}
.facts b {
  display: block; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums;
}
.facts a { color: inherit; text-decoration-color: var(--water) }
.judged {
  border-inline-start: 4px solid var(--soft); padding: .15rem 0 .15rem .9rem; margin: .9rem 0;
}
.judged.good { border-color: var(--good) } .judged.bad { border-color: var(--bad) }
.judged.good, .judged.bad, .judged.plain { color: var(--ink) }
.judged p { margin: .15rem 0 }
.pair {
  display: grid; gap: 0 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
}
.charts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr));
  gap: 1rem 1.5rem;
}
.chart { margin: .6rem 0; max-width: 28rem; min-width: 0 }
.chart > svg { display: block; width: 100%; height: auto }
figcaption { font-weight: 600; margin-bottom: .2rem; overflow-wrap: anywhere }
.legend {
  display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 0; padding: 0;
  list-style: none; font-size: .85rem;
}
.legend svg { vertical-align: middle }
.wide { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-size: .92rem }
caption { text-align: left; font-weight: 600; padding-bottom: .2rem }
th, td {
  text-align: left; padding: .35rem 1rem .35rem 0; vertical-align: top;
  border-bottom: 1px solid var(--edge);
}
td { min-width: 4rem; overflow-wrap: break-word; max-width: 34rem }
th { font-weight: 600; color: var(--soft); white-space: nowrap; font-size: .86rem }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
details { margin: .6rem 0 } td > details { margin: 0 }
summary { cursor: pointer; color: var(--link) }
.entry { margin: 0; padding: .45rem 0; border-bottom: 1px solid var(--edge) }
.entry summary { color: var(--ink); overflow-wrap: anywhere }
.entry summary i { font-style: normal; color: var(--soft) }
dl {
  display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr);
  gap: .25rem 1rem; margin: .6rem 0; font-size: .92rem;
}
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.badge {
  display: inline-block; border: 1px solid; border-radius: 1rem; padding: 0 .6rem;
  font-size: .84rem; font-weight: 600; white-space: nowrap;
}
.good { color: var(--good) } .bad { color: var(--bad) } .plain { color: var(--soft) }
nav { margin: 1.2rem 0; font-size: .92rem }
nav p {
  display: grid; grid-template-columns: 9.5rem 1fr; gap: 0 .75rem; margin: .2rem 0;
  max-width: none;
}
nav a { display: inline-block; margin-inline-end: 1rem } nav b { font-weight: 600 }
.channel { display: flex; gap: .4rem; margin: 1rem 0; align-items: stretch }
.level { flex: 1 1 0; min-width: 0; position: relative; padding-inline-end: 1.1rem }
.level h3 {
  font-size: .8rem; color: var(--soft); margin: 0 0 .4rem; text-transform: uppercase;
  letter-spacing: .05em;
}
.level:not(:last-child)::after {
  content: "\\203A"; position: absolute; inset-inline-end: .1rem; top: 1.6rem; font-size: 1.5rem;
  line-height: 1; color: var(--water);
}
.level ul { list-style: none; margin: 0; padding: 0 }
.level li {
  background: var(--card); border: 1px solid var(--edge); border-radius: .4rem;
  padding: .35rem .55rem .4rem; margin-bottom: .4rem; font-size: .86rem; line-height: 1.3;
  overflow-wrap: anywhere;
}
.level li b { display: block; font-size: 1rem; font-variant-numeric: tabular-nums }
.level li.bad { border-color: var(--bad) }
.level li.bad, .level li.good { color: var(--ink) }
.level svg { display: block; width: 100%; height: 4px; margin-top: .3rem; color: var(--water) }
.bar { width: 6rem; height: .55rem; color: var(--water); vertical-align: middle }
.tree, .tree ul { list-style: none; margin: 0; padding: 0 0 0 1.1rem }
.tree { padding-inline-start: 0 }
.tree ul { border-inline-start: 2px solid var(--edge); margin-inline-start: .3rem }
.tree li { padding: .12rem 0; font-size: .92rem; overflow-wrap: anywhere }
@media (max-width: 48rem) {
  .channel { display: block }
  .level { padding: 0 0 1.3rem }
  .level ul {
    display: grid; gap: .4rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr));
  }
  .level li { margin: 0 }
  .level:not(:last-child)::after {
    content: "\\2193"; inset: auto auto .1rem .2rem; font-size: 1rem;
  }
  .tree, .tree ul { padding-inline-start: .6rem }
  nav p { display: block; margin: .6rem 0 } nav b { display: block }
  nav a { padding: .2rem 0 }
}
@media (max-width: 40rem) {
  dl { display: block } dd { margin-bottom: .4rem }
  .stacked thead { display: none }
  .stacked tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--edge) }
  .stacked td { display: block; padding: .1rem 0; border: 0; text-align: left; white-space: normal }
  .stacked td:empty { display: none }
  .stacked td { overflow-wrap: anywhere; max-width: none }
  .stacked td::before { content: attr(data-name) ": "; color: var(--soft) }
}
@media print {
  :root {
    --ink: #000; --soft: #444; --paper: #fff; --card: #fff; --edge: #bbb;
    --good: #0b6b3a; --bad: #a8321a; --link: #0a5f6e;
  }
  .c0 { color: #0072b2 } .c1 { color: #d55e00 } .c2 { color: #009e73 }
  .c3 { color: #b4508a } .c4 { color: #a66f00 } .c5 { color: #4a90c2 }
  html { font-size: 10.5px }
  main { max-width: none; padding: 0 }
  nav { display: none }
  .chart, tr, .judged, .facts li, .level li { break-inside: avoid }
  h2, h3 { break-after: avoid }
  .wide { overflow: visible }
  table { width: 100%; font-size: .85rem }
  th, td, th.n, td.n {
    overflow-wrap: anywhere; white-space: normal; max-width: none; padding-right: .5rem;
  }
  .charts { grid-template-columns: repeat(3, 1fr) }
  details::details-content { content-visibility: visible; height: auto; display: block }
}
"""
