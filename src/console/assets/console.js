// The console works without this: it spares waiting (live figures), asks before what cannot be taken back, and gives keys.
"use strict";

const LIVE_SECONDS = 5;
const offline = document.getElementById("offline");

/** Asks for this page again and takes over what is marked as live, unless somebody is in the middle of it. */
async function refresh() {
  const parts = document.querySelectorAll("[data-live][id]");
  if (!parts.length || document.hidden) return;
  let fresh;
  try {
    const answer = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "error", cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    offline.hidden = true;
  } catch {
    offline.hidden = false;
    return;
  }
  for (const part of parts) {
    const now = fresh.getElementById(part.id);
    const touched = part.contains(document.activeElement) || part.querySelector("details[open], :checked");
    if (now && !touched && now.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(now));
  }
}
if (document.querySelector("[data-live][id]")) setInterval(refresh, LIVE_SECONDS * 1000);

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-confirm]");
  if (button && !window.confirm(button.dataset.confirm)) event.preventDefault();
});

/** A link that can be used once is shown whole, with this gateway's address. */
for (const code of document.querySelectorAll("code[data-path]")) code.textContent = location.origin + code.dataset.path;

/** A form that takes long says that it is at work, and is sent once. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  const button = event.submitter;
  if (button && button.dataset.busy) button.textContent = button.dataset.busy;
  form.classList.add("busy");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) { delete form.dataset.sent; form.classList.remove("busy"); }
});

/** Work lists: j and k move, x marks, Enter opens; data-key on a button or link gives it a key of its own. */
const rows = () => [...document.querySelectorAll("[data-row]")];
let at = -1;
function move(step) {
  const all = rows();
  if (!all.length) return;
  at = Math.max(0, Math.min(all.length - 1, at + step));
  for (const row of all) row.removeAttribute("aria-selected");
  all[at].setAttribute("aria-selected", "true");
  const focus = all[at].querySelector("a") || all[at].querySelector("button, input");
  (focus || all[at]).focus();
  all[at].scrollIntoView({ block: "nearest" });
}
/** Chooses what is ruled, for what is marked or else for the row at hand, and goes to where the clause or the reason is told. */
function choose(option, row) {
  const select = option.closest("select");
  select.value = option.value;
  const marked = document.querySelector("[data-row] input[type=checkbox]:checked");
  const box = !marked && row && row.querySelector("input[type=checkbox]");
  if (box) box.click();
  const only = option.parentElement.querySelectorAll("option").length === 1;
  (only && document.querySelector("[data-reason]") || select).focus();
}
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll("[data-row] input[type=checkbox]")) box.checked = all.checked;
  });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("textarea, select, input:not([type=checkbox], [type=radio])");
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  const row = rows()[at];
  const arrows = document.querySelector("[data-worklist]");
  const option = document.querySelector(`option[data-key="${CSS.escape(event.key)}"]`);
  if (event.key === "j" || (arrows && event.key === "ArrowDown")) move(1);
  else if (event.key === "k" || (arrows && event.key === "ArrowUp")) move(-1);
  else if (option) choose(option, row);
  else if (event.key === "x" && row) { const box = row.querySelector("input[type=checkbox]"); if (box) box.click(); }
  else if (event.key === "/") { const box = document.querySelector("[data-search]"); if (!box) return; box.focus(); }
  else {
    const within = row && row.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    const anywhere = within || document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not([data-row] *)`);
    if (!anywhere) return;
    anywhere.click();
    if (anywhere.matches("input, textarea, select")) anywhere.focus();
  }
  event.preventDefault();
});

/** A mistake leads to its place in the text. */
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-line]");
  const field = button && document.querySelector("textarea.code");
  if (!field) return;
  const before = field.value.split("\n").slice(0, button.dataset.line - 1);
  const at = before.reduce((length, line) => length + line.length + 1, 0) + Number(button.dataset.column) - 1;
  field.focus();
  field.setSelectionRange(at, at);
  field.scrollTop = (before.length - 5) * parseFloat(getComputedStyle(field).lineHeight || "20");
});
