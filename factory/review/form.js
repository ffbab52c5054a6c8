"use strict";
const deck = JSON.parse(document.getElementById("deck").textContent);
const $ = (id) => document.getElementById(id);
const make = (name, css, text) => Object.assign(document.createElement(name), css ? { className: css } : {}, text === undefined ? {} : { textContent: text });
const QUESTIONS = ["verdict", "errors", "severity"];
let answers = {}, at = 0, unsaved = false, person = "";

/* ---- What is kept: in this browser, by corpus and person, after every change. ---- */
const slot = () => `hala-review:${deck.digest}:${$("who").value.trim()}`;
function keep() {
  unsaved = true;
  try { localStorage.setItem(slot(), JSON.stringify(answers)); }
  catch { say("This browser keeps nothing: download your answers before you close the page.", true); }
}
function recall() {
  person = $("who").value.trim();
  try { answers = JSON.parse(localStorage.getItem(slot()) || "{}"); localStorage.setItem("hala-review:who", person); }
  catch { answers = {}; }
}

/* ---- What is shown. ---- */
function say(text, bad = false) { $("note").textContent = text; $("note").classList.toggle("bad", bad); }
function shown(passage) {
  const box = make("div", "text");
  box.dir = passage.dir;
  for (const [kind, text] of passage.parts) {
    if (kind === "t") { box.append(text); continue; }
    const part = make(kind === "u" ? "span" : "code", { u: "unseen", b: "block" }[kind], text);
    part.dir = "ltr";
    box.append(part);
  }
  return box;
}
function side(label, passage) {
  const box = make("div", "side");
  box.dir = passage.dir;
  box.append(make("div", "lang", label), shown(passage));
  return box;
}
function show() {
  const task = deck.tasks[at], given = answers[task.id] || {};
  const turns = task.turns.map((turn) => {
    const box = make("div", turn.source ? "turn" : "turn one");
    if (turn.role !== "text") box.append(make("div", "role", turn.role));
    if (turn.source) box.append(side(deck.source_language, turn.source));
    box.append(side(deck.target_language, turn.target));
    return box;
  });
  $("texts").replaceChildren(...turns);
  for (const name of QUESTIONS) {
    const chosen = [].concat(given[name] ?? []);
    for (const box of $(name).querySelectorAll("input")) box.checked = chosen.includes(box.value);
  }
  const edits = task.turns.map((turn, n) => {
    const box = make("textarea");
    box.dir = turn.target.dir;
    box.value = given.edits?.[n] ?? turn.text;
    box.setAttribute("aria-label", `${turn.role}: ${deck.titles.correction}`);
    box.addEventListener("input", draft);
    return box;
  });
  $("edits").replaceChildren(...edits);
  $("correction").open = Boolean(given.edits);
  tell();
}
function tell() {
  const states = deck.tasks.map((task) => answers[task.id]?.status);
  const done = states.filter((s) => s === "submitted" || s === "discarded").length;
  const open = states.filter((s) => s === "draft").length;
  $("bar").max = deck.tasks.length;
  $("bar").value = done;
  $("done").textContent = `${done} / ${deck.tasks.length}` + (open ? ` · ${open} begun` : "");
  const words = { submitted: "submitted · أُرسل", discarded: "cannot judge · مستبعد", draft: "not submitted yet · لم يُرسل بعد" };
  $("state").textContent = `${at + 1}. ${words[states[at]] || ""}`;
}

/* ---- What a person does. ---- */
function read(status) {
  const task = deck.tasks[at];
  const chosen = (name) => [...$(name).querySelectorAll("input:checked")].map((box) => box.value);
  const edits = [...$("edits").querySelectorAll("textarea")].map((box) => box.value);
  const changed = edits.some((text, n) => text.trim() !== task.turns[n].text.trim());
  answers[task.id] = {
    status, verdict: chosen("verdict")[0] ?? null, errors: chosen("errors"), severity: chosen("severity")[0] ?? null,
    ...(changed ? { edits } : {}), at: new Date().toISOString(),
  };
  keep();
}
function draft() { read("draft"); tell(); }
function named() {
  if ($("who").value.trim()) return true;
  say("Please write your name first. · اكتب اسمك أولًا من فضلك.", true);
  $("who").focus();
  return false;
}
function end(status) {
  if (!named()) return;
  if (status === "submitted" && !$("verdict").querySelector("input:checked")) {
    say("Please choose: good, fix or bad. · اختر من فضلك: جيد أو يحتاج تصحيحًا أو رديء.", true);
    return;
  }
  read(status);
  say("");
  const left = deck.tasks.map((_, n) => (at + 1 + n) % deck.tasks.length).filter((n) => !["submitted", "discarded"].includes(answers[deck.tasks[n].id]?.status));
  if (left.length) return go(left[0]);
  tell();
  say("All tasks are answered. Download your answers and send the file back. · اكتملت المهام، نزّل إجاباتك وأرسل الملف.");
}
function go(n) {
  at = Math.min(Math.max(n, 0), deck.tasks.length - 1);
  show();
  scrollTo(0, 0);
  $("texts").focus({ preventScroll: true });
}
function correction(task, edits) {
  if (task.turns.length === 1 && task.turns[0].role === "text") return edits[0];
  return task.turns.map((turn, n) => `### ${turn.role}\n${edits[n]}`).join("\n\n");
}
function save() {
  if (!named()) return;
  const lines = deck.tasks.filter((task) => answers[task.id]).map((task) => {
    const { edits, ...given } = answers[task.id];
    return JSON.stringify({ deck: deck.digest, task: task.id, annotator: $("who").value.trim(), ...given, correction: edits ? correction(task, edits) : null });
  });
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(lines.map((line) => line + "\n"), { type: "application/jsonl" }));
  link.download = `${deck.artifact.replace("@", "-")}-answers-${$("who").value.trim().replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  say(`${lines.length} answers downloaded. · نُزّلت الإجابات: ${lines.length}`);
}
async function load(file) {
  const found = {}, texts = Object.fromEntries(deck.tasks.map((task) => [task.id, task]));
  try {
    for (const line of (await file.text()).split("\n").filter(Boolean)) {
      const { deck: digest, task, annotator, correction: text, ...given } = JSON.parse(line);
      if (digest !== deck.digest) throw new Error("these are answers to another sample");
      if (!texts[task]) throw new Error("these are answers to tasks that are not in this page");
      if (annotator && !$("who").value.trim()) { $("who").value = annotator; recall(); }
      const edits = text && texts[task].turns.length > 1 ? text.split(/^### (?:system|user|assistant)[ \t]*$/m).slice(1).map((t) => t.trim()) : text && [text.replace(/^### \w+\n/, "")];
      found[task] = { ...given, ...(edits ? { edits } : {}) };
    }
  } catch (error) {
    return say(`${file.name}: nothing was loaded: ${error.message}`, true);
  }
  let taken = 0;
  for (const [task, given] of Object.entries(found)) {
    if (answers[task] && answers[task].at >= given.at) continue; // the later one stands
    answers[task] = given;
    taken += 1;
  }
  keep();
  show();
  say(`${taken} answers loaded. · حُمّلت الإجابات: ${taken}`);
}

/* ---- Keys. Letters do not depend on the keyboard's language. ---- */
function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, #who")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = { Enter: "Enter", ArrowLeft: "ArrowLeft", ArrowRight: "ArrowRight" }[event.key] || event.code.replace(/^(Key|Digit|Numpad)/, "").toLowerCase();
  if (event.target.matches("button, summary, .file input") && key === "Enter") return;
  const choice = Object.entries(deck.letters).flatMap(([name, letters]) => (letters.includes(key) ? [[name, letters.indexOf(key)]] : []))[0];
  const acts = {
    Enter: () => end("submitted"), x: () => end("discarded"), ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1),
    e: () => { $("correction").open = true; $("edits").querySelector("textarea").focus(); },
    g: () => { $("guide").open = !$("guide").open; scrollTo(0, 0); },
  };
  if (choice) {
    const box = $(choice[0]).querySelectorAll("input")[choice[1]];
    box.checked = box.type === "radio" || !box.checked;
    draft();
  } else if (acts[key]) acts[key]();
  else return;
  event.preventDefault();
}

try { $("who").value = deck.reviewer || localStorage.getItem("hala-review:who") || ""; } catch { $("who").value = deck.reviewer || ""; }
$("who").readOnly = Boolean(deck.reviewer);
$("who").addEventListener("change", () => { // what was answered before there was a name is this person's
  const nameless = person ? {} : answers;
  recall();
  answers = { ...nameless, ...answers };
  keep();
  show();
});
$("form").addEventListener("change", (event) => { if (event.target.matches("fieldset input")) draft(); });
$("form").addEventListener("submit", (event) => { event.preventDefault(); end("submitted"); });
$("discard").addEventListener("click", () => end("discarded"));
$("back").addEventListener("click", () => go(at - 1));
$("next").addEventListener("click", () => go(at + 1));
$("save").addEventListener("click", save);
$("load").addEventListener("change", (event) => { if (event.target.files[0]) load(event.target.files[0]); event.target.value = ""; });
addEventListener("keydown", press);
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
recall();
at = Math.max(0, deck.tasks.findIndex((task) => !["submitted", "discarded"].includes(answers[task.id]?.status)));
show();
