// Denied and all requests over time, and the totals.

const SPEAK = 15000; // ms between two announcements to a screen reader
const TILES = [["denied-total", "denied"], ["allowed-total", "allowed"], ["observed-total", "observed"], ["other-total", "unjudged"], ["requests-total", "requests"]];
const samples = []; // totals of the last minute
let lastSpoken = { at: 0, denied: null };

function bars(counts) {
  const most = Math.max(1, ...counts);
  const height = (count) => Math.max(2, Math.floor((count * 100) / most));
  return counts.map((count, place) => (count > 0 ? `M${place} 100v-${height(count)}h.8v${height(count)}z` : "")).join("");
}

function sentence(words, bucket, denied, all) {
  const sum = (counts) => counts.reduce((a, b) => a + b, 0);
  const text = `${words}: ${digits(sum(denied))} denied of ${digits(sum(all))} requests.`;
  const most = Math.max(0, ...denied);
  if (most === 0) return text;
  const back = denied.length - 1 - denied.lastIndexOf(most);
  const when = back === 0 ? `this ${bucket}` : `${back} ${bucket}${back === 1 ? "" : "s"} ago`;
  return `${text} Most denied in one ${bucket}: ${digits(most)}, ${when}.`;
}

function showRange(key, window, length, since) {
  const figure = document.querySelector(`.range[data-range="${key}"]`);
  const all = window.allow.map((allowed, place) => allowed + window.deny[place] + window.observe[place] + window.none[place]);
  const counts = { deny: window.deny.slice(-length), all: all.slice(-length) };
  const before = Math.floor((new Date(since) - new Date(window.start)) / (window.step * 1000)) - (all.length - length);
  for (const plot of figure.querySelectorAll(".plot")) {
    const shown = counts[plot.dataset.kind];
    plot.querySelector(".most").textContent = digits(Math.max(0, ...shown));
    plot.querySelector("path").setAttribute("d", bars(shown));
    plot.querySelector(".unknown").setAttribute("width", String(Math.min(length, Math.max(0, before))));
  }
  const said = sentence(figure.dataset.words, figure.dataset.bucket, counts.deny, counts.all);
  const caption = figure.querySelector("figcaption");
  if (caption.textContent !== said) caption.textContent = said;
}

function showOverTime(over) {
  showRange("hour", over.minutes, 60, over.since);
  showRange("day", over.hours, 24, over.since);
  showRange("week", over.hours, 168, over.since);
  const since = at("time-since").querySelector("time");
  if (since.dateTime !== over.since) since.replaceWith(time(over.since));
  at("time-reading").hidden = !over.reading;
}

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
  show("tunnels-open", digits(totals.tunnels_open));
  document.title = `${digits(totals.denied)} denied · ${inert(policyName)} · outgate`;
  if (totals.denied !== lastSpoken.denied && now - lastSpoken.at >= SPEAK) {
    if (lastSpoken.denied !== null) show("spoken", `${totals.denied} of ${totals.requests} requests denied`);
    lastSpoken = { at: now, denied: totals.denied };
  }
}
