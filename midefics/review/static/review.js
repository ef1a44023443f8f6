// Keys of the review page. Every one of them presses what can also be clicked, so the page works without this file.
"use strict";

const part = (id) => document.getElementById(id);

// A frame may not be let into its storage.
const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* it holds for this page */ } };

// Airflow keeps the theme that was chosen in its menu here.
const theme = stored("theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;

const keys = part("keys");
keys.checked = stored("midefics-review-keys") !== "off";
keys.addEventListener("change", () => store("midefics-review-keys", keys.checked ? "on" : "off"));

const help = part("help");
const showHelp = () => help.open ? help.close() : help.showModal();
part("help-button").hidden = false;
part("help-button").addEventListener("click", showHelp);

// One decision for one press, however long the key is held and the server takes.
let sent = false;
for (const form of document.querySelectorAll("form[action=decide]")) {
  form.addEventListener("submit", (event) => sent ? event.preventDefault() : sent = true);
}
addEventListener("pageshow", () => { sent = false; });

const open = (id, field) => {
  const details = part(id);
  if (!details) return;
  for (const other of ["edit", "reject"]) part(other).open = other === id;
  details.scrollIntoView({ block: "nearest" });
  details.querySelector(field).focus();
};

const close = () => {
  for (const details of document.querySelectorAll("#edit[open], #reject[open]")) {
    details.open = false;
    details.querySelector("summary").focus();
  }
};

const actions = {
  a: () => part("accept")?.requestSubmit(),
  e: () => open("edit", "textarea"),
  r: () => open("reject", "input[name=reason]"),
  j: () => part("next")?.click(),
  k: () => part("previous")?.click(),
  "?": showHelp,
};

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && !help.open) return close();
  if (event.key === "Enter" && event.ctrlKey && typing) return typing.form.requestSubmit();
  if (typing || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !keys.checked) return;
  if (help.open && event.key !== "?") return;
  const action = actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

for (const id of ["edit", "reject"]) {
  part(id)?.addEventListener("toggle", (event) => {
    const other = part(id === "edit" ? "reject" : "edit");
    if (event.newState === "open") other.open = false;
  });
}

// In Airflow's frame, keys go to the menu until something in here has the focus.
window.focus();
