# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Style sheet of the page for text and drawings, with a light and a dark colour scheme."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f7f6f2; --card: #ffffff; --ink: #1b2226; --faint: #667079; --rule: #d9d7cf;
  --found: #0b7a5b; --missed: #c8321e; --unseen: #a3a8ab; --false: #c77700; --path: #2f6fb2; --wall: #e4e2db;
  --good-wash: #dff1ea; --fair-wash: #f8ead2; --bad-wash: #fae3de;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181a; --card: #1c2225; --ink: #e8e6e0; --faint: #9aa4a9; --rule: #333b3f;
    --found: #3ecb9c; --missed: #ff7a66; --unseen: #6b7478; --false: #f0a93a; --path: #7db4ea; --wall: #262d30;
    --good-wash: #17352b; --fair-wash: #3b2d14; --bad-wash: #43201b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 40px 28px 72px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 18px; margin-bottom: 26px; }
h1 { font-size: 27px; font-weight: 650; letter-spacing: -0.015em; margin: 0; }
h2 { font-size: 17px; font-weight: 650; margin: 0 0 4px; }
h3 { font-size: 14px; font-weight: 600; margin: 10px 0 2px; }
header p, .lead { color: var(--faint); margin: 0; }
.lead { margin-bottom: 14px; max-width: 82ch; }
section { margin-top: 44px; }
.verdict { padding: 2px 11px; border-radius: 99px; font-size: 13px; font-weight: 600; }
.verdict.good { background: var(--good-wash); color: var(--found); }
.verdict.fair { background: var(--fair-wash); color: var(--false); }
.verdict.bad { background: var(--bad-wash); color: var(--missed); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 14px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px 12px; }
.tile b { display: block; font-size: 30px; line-height: 1.15; font-weight: 600; letter-spacing: -0.02em; }
.tile b small { font-size: 15px; font-weight: 500; color: var(--faint); letter-spacing: 0; margin-left: 3px; }
.tile span { font-weight: 600; font-size: 13px; }
.tile i { display: block; font-style: normal; color: var(--faint); font-size: 12.5px; line-height: 1.35; }
.tile b, td.value, svg text { font-variant-numeric: tabular-nums; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 16px; }
.pair { display: grid; grid-template-columns: 3fr 2fr; gap: 18px; }
.pair > * { min-width: 0; }
.frames { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; }
figure { margin: 0; }
figure img { display: block; width: 100%; border-radius: 6px; border: 1px solid var(--rule); }
figcaption { font-size: 13px; color: var(--faint); padding-top: 6px; }
figcaption b { color: var(--ink); font-weight: 600; }
@media (max-width: 760px) { .pair, .frames { grid-template-columns: 1fr; } }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-size: 12.5px; color: var(--faint); font-weight: 600; }
td.value { white-space: nowrap; font-weight: 600; }
td.meaning { color: var(--faint); }
tr.group th { padding-top: 18px; color: var(--ink); font-size: 13.5px; }
table.cracks { margin-top: 14px; }
table.cracks td { padding: 5px 14px 5px 0; font-variant-numeric: tabular-nums; }
.plan { padding: 8px; background: #ffffff; }
.plan img { display: block; width: 100%; }
code, .hash { font-family: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.hash { overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; color: var(--faint); padding-top: 10px; }
ul { margin: 0; padding-left: 18px; }
svg { display: block; width: 100%; height: auto; }
.legend svg { display: inline-block; width: 26px; height: 12px; vertical-align: -1px; margin-right: 6px; }
svg text { fill: var(--faint); font-size: 12px; }
svg text.strong { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.axis { stroke: var(--rule); stroke-width: 1; fill: none; }
.wall { fill: var(--wall); stroke: var(--rule); }
.seen { fill: var(--card); }
.crack { fill: none; stroke-linecap: round; stroke-linejoin: round; }
.crack.found { stroke: var(--found); } .crack.missed { stroke: var(--missed); } .crack.unseen { stroke: var(--unseen); }
.cell { fill-opacity: 0.22; stroke-width: 1; }
.cell.found { fill: var(--found); stroke: var(--found); } .cell.missed { fill: var(--missed); stroke: var(--missed); }
.cell.unseen { fill: none; stroke: var(--unseen); stroke-dasharray: 3 3; }
.flown { fill: none; stroke: var(--path); stroke-width: 1.6; stroke-dasharray: 1 4; stroke-linecap: round; }
.start { fill: var(--path); }
.hit { fill: var(--found); fill-opacity: 0.5; } .false { fill: var(--false); fill-opacity: 0.85; }
.ellipse { fill: none; stroke: var(--path); stroke-opacity: 0.28; stroke-width: 0.8; }
.line { fill: none; stroke: var(--path); stroke-width: 1.4; stroke-linejoin: round; }
.level { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 4 4; }
.bar { fill: var(--found); } .bar.below { fill: var(--unseen); }
"""
