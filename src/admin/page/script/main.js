// Keeps the page true.

const EVERY = 2000; // ms between two looks; a person watches, so not more often
const PATIENCE = 5000; // ms until an answer counts as lost
const ROWS = 50;
let lastGood = null;
let timer = null;

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) });
  // The path under which this page lives ends with the process that made it up.
  if (answer.status === 401 || answer.status === 404) throw new Error("signed out");
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer;
}

function showLive(error) {
  const live = at("live");
  live.dataset.live = document.body.dataset.live = error ? "lost" : "yes";
  const since = lastGood ? ` The figures are from ${clock(lastGood)}.` : "";
  if (!error) show("live", "Live");
  else if (error.message === "signed out") show("live", "Signed out: open the link of the proxy's banner again.");
  else show("live", `The proxy does not answer.${since}`);
}

async function look() {
  clearTimeout(timer);
  const json = (path) => get(path).then((answer) => answer.json());
  try {
    const [policy, denials, status, drawn, tunnels] = await Promise.all(
      ["./v1/policy", `./v1/denials?limit=${ROWS}`, "./v1/status", "./dashboard.json", `./v1/tunnels?limit=${ROWS}`].map(json),
    );
    showPolicy(policy);
    showDenials(denials);
    showOverTime(drawn);
    showTotals(status.totals, policy.name);
    showSinks(status.sinks);
    at("restart").hidden = !status.configuration_changed;
    showTunnels(tunnels);
    if (!isStreaming()) await loadRecords();
    lastGood = new Date().toISOString();
    showLive(null);
  } catch (error) {
    showLive(error);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return stopStream();
  startStream();
  look();
});
for (const shown of document.querySelectorAll("time")) {
  shown.title = shown.dateTime;
  shown.textContent = "age" in shown.dataset ? age(shown.dateTime) : clock(shown.dateTime);
}
startStream();
look();
