// Denied and all requests over time, and the totals.

const SPEAK = 15000; // ms between two announcements to a screen reader
const TILES = [["denied-total", "denied"], ["allowed-total", "allowed"], ["observed-total", "observed"], ["other-total", "unjudged"], ["requests-total", "requests"]];
const samples = []; // totals of the last minute
let lastSpoken = { at: 0, denied: null };

// The server draws: this only shows what it drew.
function showOverTime(drawn) {
  for (const { key, unknown, sentence, plots } of drawn.ranges) {
    const figure = document.querySelector(`.range[data-range="${key}"]`);
    for (const { kind, most, path } of plots) {
      const plot = figure.querySelector(`.plot[data-kind="${kind}"]`);
      plot.querySelector(".most").textContent = most;
      plot.querySelector("path").setAttribute("d", path);
      plot.querySelector(".unknown").setAttribute("width", String(unknown));
    }
    const caption = figure.querySelector("figcaption");
    if (caption.textContent !== sentence) caption.textContent = sentence;
  }
  const since = at("time-since").querySelector("time");
  if (since.dateTime !== drawn.since) since.replaceWith(time(drawn.since));
  at("time-reading").hidden = !drawn.reading;
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
