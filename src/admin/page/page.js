// Keeps the page true and answers "would this be allowed?". Everything that comes from elsewhere is set as text, never
// as markup; names are made inert as the server does it. The wording of states and reasons stands in the page.
"use strict";

const EVERY = 2000; // ms between two looks; a person watches, so not more often
const PATIENCE = 5000; // ms until an answer counts as lost
const SPEAK = 15000; // ms between two announcements to a screen reader
const MAX_SHOWN = 72;

const at = (id) => document.getElementById(id);
const seen = new Map(); // what a table was last filled with, so that an unchanged one is left alone
const samples = []; // totals of the last minute
let lastGood = null;
let lastSpoken = { at: 0, denied: null };
let timer = null;

// --- text -------------------------------------------------------------------------------------------------------

const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;
const inert = (text) => String(text ?? "").replace(INVISIBLE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
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

function showName(id, text) {
  if (at(id).textContent !== inert(text)) at(id).replaceChildren(name(text));
}

// --- the page's parts -------------------------------------------------------------------------------------------

function fill(id, rows, build) {
  const body = at(id);
  const now = JSON.stringify(rows);
  at(`no-${id}`).hidden = rows.length > 0;
  if (seen.get(id) === now) return;
  seen.set(id, now);
  const focused = document.activeElement?.dataset?.to;
  body.replaceChildren(...rows.map(build));
  if (focused) body.querySelector(`[data-to="${CSS.escape(focused)}"]`)?.focus();
}

function stateKey(policy) {
  if (policy.enabled === false) return "off";
  if (policy.egress === "none") return "none";
  if (policy.mode === "observe") return "observe";
  return policy.egress === "all" ? "all" : "enforce";
}

function showPolicy(policy) {
  const key = stateKey(policy);
  const words = document.querySelector(`#states [data-state="${key}"]`);
  at("state").dataset.state = key;
  show("state-title", words.querySelector("b").textContent);
  show("state-text", words.querySelector("span").textContent);
  const source = [policy.source ?? []].flat().join(", ");
  const rules = Array.isArray(policy.rules) ? policy.rules.length : policy.rules;
  showName("policy-name", policy.name);
  showName("policy-revision", policy.revision);
  show("policy-rules", digits(rules ?? 0));
  show("policy-egress", inert(policy.egress));
  showName("policy-source", source);
  showName("where", source);
  const loaded = at("policy-loaded").querySelector("time");
  loaded.dateTime = inert(policy.loaded);
  loaded.title = inert(policy.loaded);
  loaded.textContent = age(policy.loaded);
  at("problem").hidden = !policy.error;
  const tested = policy.selftest;
  show("policy-selftest", tested ? (tested.ok ? "passed" : "failed") : "not yet");
  at("policy-selftest").title = inert(tested?.detail);
  at("unenforced").hidden = !tested || tested.ok;
  show("unenforced-text", tested && !tested.ok ? inert(tested.detail) : "");
  show("problem-text", String(policy.error ?? "").split("\n").map(inert).join("\n"));
}

function denialRow(row, most) {
  const destination = cell("th", name(row.destination), { scope: "row" });
  if (!row.destination.startsWith("*.")) {
    const why = node("button", "Why?", { type: "button", class: "why", "aria-label": `Why is ${inert(row.destination)} denied?` });
    why.dataset.to = row.destination;
    destination.append(" ", why);
  }
  const count = node("td", digits(row.count), { class: "number" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of [["class", "bar"], ["viewBox", "0 0 100 4"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.setAttribute("height", "4");
  bar.setAttribute("width", String(Math.floor((row.count * 100) / most)));
  svg.append(bar);
  count.append(svg);
  const line = node("tr");
  line.append(
    destination,
    cell("td", reason(row.reason)),
    count,
    cell("td", time(row.last)),
    cell("td", time(row.first), { class: "minor" }),
    cell("td", name(row.rule ?? "none"), { class: "minor" }),
  );
  return line;
}

function showDenials(denials) {
  const rows = denials.destinations ?? [];
  const most = Math.max(1, ...rows.map((row) => row.count));
  fill("denials", rows, (row) => denialRow(row, most));
  at("more").hidden = !denials.other;
  show("other-denials", digits(denials.other ?? 0));
}

function recordRow(record) {
  const host = String(record.host ?? "");
  const asked = record.destination ?? (host && record.port ? `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${record.port}` : host);
  const line = node("tr");
  line.append(
    cell("td", time(record.time)),
    cell("td", node("span", inert(record.decision), { class: "decision", "data-decision": inert(record.decision) })),
    cell("td", name(asked)),
    cell("td", reason(record.reason)),
    cell("td", name(record.tool), { class: "minor" }),
    cell("td", node("code", inert(record.id)), { class: "minor" }),
  );
  return line;
}

// An array, an object that holds one, or JSON lines; newest first.
function recordsOf(text) {
  let records;
  try {
    const whole = JSON.parse(text);
    records = Array.isArray(whole) ? whole : (whole.records ?? [whole]);
  } catch {
    records = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }
  return records.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : (b.seq ?? 0) - (a.seq ?? 0)));
}

function totalsOf(metrics) {
  const totals = { all: 0, allow: 0, deny: 0, observe: 0, none: 0, open: 0 };
  for (const line of metrics.split("\n")) {
    const decision = /^outgate_requests_total\{.*?decision="(\w+)".*\} (\S+)/.exec(line);
    if (decision && decision[1] in totals) {
      totals[decision[1]] += Number(decision[2]);
      totals.all += Number(decision[2]);
    }
    const open = /^outgate_tunnels_open(?:\{.*\})? (\S+)/.exec(line);
    if (open) totals.open += Number(open[1]);
  }
  return totals;
}

const TILES = [["denied-total", "deny"], ["allowed-total", "allow"], ["observed-total", "observe"], ["other-total", "none"], ["requests-total", "all"]];

function showTotals(totals, policyName) {
  const now = Date.now();
  samples.push({ now, totals });
  while (samples.length > 2 && samples[1].now <= now - 60000) samples.shift();
  const before = samples[0].totals;
  for (const [id, key] of TILES) {
    show(id, digits(totals[key]));
    const more = totals[key] - before[key];
    show(`${id}-rate`, more > 0 ? `+${digits(more)} in the last minute` : "");
  }
  show("tunnels-open", digits(totals.open));
  document.title = `${digits(totals.deny)} denied · ${inert(policyName)} · outgate`;
  if (totals.deny !== lastSpoken.denied && now - lastSpoken.at >= SPEAK) {
    if (lastSpoken.denied !== null) show("spoken", `${totals.deny} of ${totals.all} requests denied`);
    lastSpoken = { at: now, denied: totals.deny };
  }
}

// --- asking -----------------------------------------------------------------------------------------------------

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.status === 401) throw new Error("signed out");
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer;
}

function showLive(error) {
  const live = at("live");
  live.dataset.live = document.body.dataset.live = error ? "lost" : "yes";
  const since = lastGood ? ` The figures are from ${clock(lastGood)}.` : "";
  if (!error) live.textContent = "Live";
  else if (error.message === "signed out") live.textContent = "Signed out: open the link of the proxy's banner again.";
  else live.textContent = `The proxy does not answer.${since}`;
}

async function look() {
  clearTimeout(timer);
  try {
    const only = at("only-denied").checked ? "&decision=deny" : "";
    const [policy, denials, records, metrics] = await Promise.all([
      get("/v1/policy").then((answer) => answer.json()),
      get("/v1/denials?limit=50").then((answer) => answer.json()),
      get(`/v1/records?limit=50${only}`).then((answer) => answer.text()),
      get("/metrics").then((answer) => answer.text()),
    ]);
    showPolicy(policy);
    showDenials(denials);
    fill("records", recordsOf(records), recordRow);
    showTotals(totalsOf(metrics), policy.name);
    lastGood = new Date().toISOString();
    showLive(null);
  } catch (error) {
    showLive(error);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, EVERY);
}

async function check(to) {
  const answer = at("answer");
  answer.dataset.decision = "";
  answer.textContent = "Asking…";
  try {
    const response = await fetch(`/v1/check?to=${encodeURIComponent(to)}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const text = await response.text();
    if (!response.ok) throw new Error(`That could not be judged: ${inert(text).slice(0, 300)}`);
    const verdict = JSON.parse(text);
    const means = meaning(verdict.reason);
    const rule = verdict.rule ? ` Rule: ${inert(verdict.rule)}.` : "";
    const hint = verdict.hint ? ` ${inert(verdict.hint).replace(/\.$/, "")}.` : "";
    const why = `${inert(verdict.reason)}${means ? `, ${means}` : ""}`;
    const words = {
      allow: `Allowed: ${inert(verdict.destination)}.${rule}`,
      deny: `Denied: ${inert(verdict.destination)} (${why}).${hint}${rule}`,
      observe: `Would be denied, observe mode lets it pass: ${inert(verdict.destination)} (${why}).${hint}${rule}`,
    };
    answer.dataset.decision = inert(verdict.decision);
    answer.textContent = words[verdict.decision] ?? inert(text);
  } catch (error) {
    answer.textContent = error.name === "TimeoutError" || error instanceof TypeError ? "The proxy does not answer." : error.message;
  }
}

at("check").hidden = false;
at("filter").hidden = false;
at("check").addEventListener("submit", (event) => {
  event.preventDefault();
  check(at("to").value.trim());
});
at("denials").addEventListener("click", (event) => {
  const to = event.target.dataset?.to;
  if (!to) return;
  at("to").value = to;
  check(to);
  at("check").scrollIntoView({ block: "center" });
});
at("only-denied").addEventListener("change", look);
document.addEventListener("visibilitychange", () => document.hidden || look());
for (const shown of document.querySelectorAll("time")) {
  shown.title = shown.dateTime;
  shown.textContent = "age" in shown.dataset ? age(shown.dateTime) : clock(shown.dateTime);
}
look();
