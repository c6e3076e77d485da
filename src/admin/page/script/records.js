// The last requests as they come. However many there are, the page changes at most four times a second, by at most so many
// rows, and holds at most MAX_ROWS; what is not shown is counted.

const MAX_ROWS = 200;
const MAX_BATCH = 50;
const BATCH_EVERY = 250; // ms
const TYPING = 300; // ms after the last key
let stream = null;
let round = 0; // of answers to an earlier question nothing is shown
let newest = 0; // the last sequence number that is shown
let waiting = [];
let skipped = 0;
let paused = false;
let batch = null;

function recordRow(record) {
  const host = String(record.host ?? "");
  const asked = host && record.port ? `${host}:${record.port}` : host;
  const line = node("tr");
  line.append(
    cell("td", time(record.time)),
    cell("td", node("span", inert(record.decision), { class: "decision", "data-decision": inert(record.decision) })),
    cell("td", name(asked)),
    cell("td", reason(record.reason)),
    cell("td", name(record.outcome)),
    cell("td", name(record.tool)),
    cell("td", node("code", inert(record.id)), { class: "minor" }),
  );
  return line;
}

function question() {
  const asked = new URLSearchParams({ kind: "end" });
  for (const [key, id] of [["decision", "by-decision"], ["contains", "by-host"], ["tool", "by-tool"]]) {
    const value = at(id).value.trim();
    if (value) asked.set(key, value);
  }
  return asked;
}

function showStream() {
  const words = [];
  if (paused) words.push("Paused.");
  if (skipped > 0) words.push(`${digits(skipped)} ${paused ? "came since" : "more came, faster than this list shows them"}.`);
  show("stream", words.join(" "));
}

function showBatch() {
  batch = null;
  const body = at("records");
  const rows = waiting.reverse().map(recordRow);
  waiting = [];
  body.prepend(...rows);
  while (body.children.length > MAX_ROWS) body.lastElementChild.remove();
  at("no-records").hidden = body.children.length > 0;
  showStream();
}

function receive(record) {
  if (record.seq <= newest) return;
  newest = record.seq;
  waiting.push(record);
  if (paused || waiting.length > MAX_BATCH) {
    waiting.shift();
    skipped += 1;
  }
  batch ??= setTimeout(showBatch, BATCH_EVERY);
}

// What is there already; also where there can be no stream.
async function loadRecords() {
  if (paused) return;
  const asked = round;
  const answer = await get(`./v1/records?limit=${MAX_ROWS}&${question()}`).then((answer) => answer.json());
  if (asked !== round || paused) return;
  const known = answer.records.sort((a, b) => b.seq - a.seq);
  const later = waiting.filter((record) => record.seq > (known[0]?.seq ?? 0));
  waiting = later;
  newest = Math.max(newest, known[0]?.seq ?? 0);
  at("records").replaceChildren(...known.map(recordRow));
  at("no-records").hidden = known.length > 0;
  showStream();
}

const isStreaming = () => stream !== null && stream.readyState !== EventSource.CLOSED;

function stopStream() {
  round += 1;
  stream?.close();
  stream = null;
  waiting = [];
}

function startStream() {
  stopStream();
  newest = 0;
  skipped = 0;
  stream = new EventSource(`./v1/records?follow&${question()}`);
  stream.addEventListener("open", () => loadRecords().catch(showLive));
  stream.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  stream.addEventListener("missed", (event) => {
    skipped += Number(event.data);
    showStream();
  });
  loadRecords().catch(showLive);
}

let typing = null;
at("filter").hidden = false;
at("filter").addEventListener("submit", (event) => event.preventDefault());
at("filter").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(startStream, event.target.id === "by-host" ? TYPING : 0);
});
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  at("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) showStream();
  else startStream();
});
