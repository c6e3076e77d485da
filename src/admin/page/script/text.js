// Text from elsewhere is set as text, never as markup; names are made inert in the same way as on the server. The page
// contains the wording of states and reasons.

const MAX_SHOWN = 72;

const at = (id) => document.getElementById(id);
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;
const inert = (text) => String(text ?? "").replace(INVISIBLE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
const lines = (text) => String(text ?? "").split("\n").map(inert).join("\n");
const prose = (text) => inert(text).split("`").map((part, place) => (place % 2 ? node("code", part) : part));
const digits = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

function node(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function cell(tag, child, attributes) {
  const made = node(tag, undefined, attributes);
  if (child) made.append(child);
  return made;
}

function name(text) {
  const shown = inert(text);
  const letters = Array.from(shown);
  if (letters.length <= MAX_SHOWN) return node("bdi", shown);
  const front = Math.floor((MAX_SHOWN - 1) / 2);
  const short = letters.slice(0, front).join("") + "…" + letters.slice(front + 1 - MAX_SHOWN).join("");
  return node("bdi", short, { title: shown });
}

// A name where there is little room: broken after a mark, rather than within a word.
function narrowName(text) {
  const shown = name(text);
  const parts = shown.textContent.split(/(?<=[:./@])/u);
  shown.replaceChildren(...parts.flatMap((part, place) => (place > 0 ? [node("wbr"), part] : [part])));
  return shown;
}

function clock(iso) {
  const when = new Date(iso);
  if (Number.isNaN(when.getTime())) return inert(iso);
  const today = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString([], { hour12: false });
  return today ? time : `${when.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

function age(iso) {
  const seconds = Math.max(0, Math.floor((Date.now() - new Date(iso).getTime()) / 1000));
  if (Number.isNaN(seconds)) return inert(iso);
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

// As the server writes bytes: rounded down, in at most eight characters.
function amount(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  const shown = unit === 0 || bytes >= 100 ? Math.floor(bytes) : (Math.floor(bytes * 10) / 10).toFixed(1);
  return `${shown} ${units[unit]}`;
}

const time = (iso) => node("time", clock(iso), { datetime: inert(iso), title: inert(iso) });

function meaning(token) {
  for (const term of document.querySelectorAll("#reasons dt")) {
    if (term.textContent === token) return term.nextElementSibling.querySelector(".meaning").textContent;
  }
  return "";
}

function reason(token) {
  if (!token) return null;
  const means = meaning(token);
  return node("code", inert(token), means ? { title: means } : {});
}

function show(id, text) {
  const target = at(id);
  if (target && target.textContent !== text) target.textContent = text;
}

function showName(id, text, make = name) {
  if (at(id).textContent !== inert(text)) at(id).replaceChildren(make(text));
}
