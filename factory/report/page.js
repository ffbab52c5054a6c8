"use strict";
(() => {
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const e of entries) {
      if (!e.isIntersecting) continue;
      for (const a of links.values()) a.removeAttribute("aria-current");
      const link = links.get(e.target.id);
      if (link) link.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("section[id]").forEach((s) => seen.observe(s));

  const held = document.getElementById("data");
  if (!held) return;
  const { rules, measures, rows } = JSON.parse(held.textContent);
  const PAGE = 12;
  const [list, found, more] = ["list", "found", "more"].map((id) => document.getElementById(id));
  const [query, source, fate] = ["q", "source", "fate"].map((id) => document.getElementById(id));
  const column = new Map(measures.map((m, i) => [m, i]));

  // Search sees letters without their marks, tatweel and case, and the forms of alef as one.
  const fold = (text) => text.normalize("NFKD").replace(/[\p{M}\u0640]/gu, "").replace(/[\u0622\u0623\u0625\u0671]/g, "\u0627").toLowerCase();
  const said = (row) => row.step ? `${row.step}.${row.reason}` : row.status;
  for (const row of rows) {
    const texts = row.turns.flatMap((t) => t.sides.map((s) => s.parts.map((p) => p[1]).join("")));
    row.hay = fold([row.id, row.source, row.place, said(row), row.detail, ...texts].join("\n"));
  }

  const passage = (side) => {
    const box = make("div", "text");
    box.dir = side.dir;
    for (const [kind, text] of side.parts) {
      if (kind === "t") box.append(text);
      else {
        const span = make(kind === "u" ? "span" : "code", kind === "u" ? "unseen" : kind === "b" ? "block" : "", text);
        span.dir = "ltr";
        box.append(span);
      }
    }
    if (side.cut) {
      const cut = make("span", "cut", `… ${side.cut.toLocaleString("en")} more characters`);
      cut.dir = "ltr";
      box.append(cut);
    }
    return box;
  };

  const broken = (value, sign, bound) =>
    sign === "<" ? value < bound : sign === ">" ? value > bound : sign === "<=" ? value <= bound : value >= bound;

  const journey = (row) => {
    const box = make("details", "journey");
    const name = row.status === "kept" ? `Why it was kept: it passed ${row.passed} steps` : `Why it was ${row.status}: ${said(row)}`;
    box.append(make("summary", "", name));
    box.addEventListener("toggle", () => {
      if (!box.open || box.querySelector("table")) return;
      const frame = make("div", "scroll");
      const table = make("table", "plain");
      const head = table.createTHead().insertRow();
      for (const word of ["step", "measure", "value", "drops where"]) {
        const th = make("th", "", word);
        th.scope = "col";
        head.append(th);
      }
      const body = table.createTBody();
      for (const [label, measure, reason, sign, bound] of rules) {
        const value = row.measures[column.get(`${label}.${measure}`)];
        if (value === null || value === undefined) continue;
        const line = body.insertRow();
        if (row.step === label && row.reason === reason && broken(value, sign, bound)) line.className = "hit";
        for (const text of [label, measure, value, `${sign} ${bound} (${reason})`]) line.insertCell().textContent = text;
      }
      if (!body.rows.length) body.insertRow().insertCell().textContent = "Nothing with a bound was measured before it ended.";
      frame.append(table);
      box.append(frame);
    });
    return box;
  };

  const card = (row) => {
    const box = make("article", "example");
    const where = make("p", "where");
    where.append(make("b", "", row.source), make("span", `tag ${row.status}`, said(row)), make("span", "id", row.id.slice(0, 12)), make("span", "place", row.place));
    box.append(where);
    if (row.detail) {
      const detail = make("p", "detail");
      detail.append(make("bdi", "", row.detail));
      box.append(detail);
    }
    for (const turn of row.turns) {
      const block = make("div", turn.sides.length > 1 ? "turn pair" : "turn");
      block.append(make("div", "role", turn.role));
      for (const side of turn.sides) {
        const cell = make("div", "side");
        if (side.label) cell.append(make("span", "lang", side.label));
        cell.append(passage(side));
        block.append(cell);
      }
      box.append(block);
    }
    box.append(journey(row));
    return box;
  };

  let hits = [];
  let shown = 0;
  const grow = () => {
    for (const row of hits.slice(shown, shown + PAGE)) list.append(card(row));
    shown = Math.min(shown + PAGE, hits.length);
    more.hidden = shown >= hits.length;
    found.textContent = `${hits.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  const search = () => {
    const words = fold(query.value).split(/\s+/).filter(Boolean);
    hits = rows.filter((r) => (!source.value || r.source === source.value) && (!fate.value || said(r) === fate.value) && words.every((w) => r.hay.includes(w)));
    shown = 0;
    list.replaceChildren();
    grow();
  };
  document.getElementById("find").addEventListener("submit", (e) => e.preventDefault());
  for (const field of [query, source, fate]) field.addEventListener("input", search);
  more.addEventListener("click", grow);
  const asked = new URLSearchParams(location.hash.slice(1)).get("find"); // report.html#find=words: a search to share
  if (asked) {
    query.value = asked;
    document.getElementById("rows").scrollIntoView();
  }
  search();
})();
