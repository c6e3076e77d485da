// "Would this be allowed?"

async function check(to) {
  const answer = at("answer");
  answer.dataset.decision = "";
  answer.textContent = "Asking…";
  try {
    const response = await fetch(`./v1/check?to=${encodeURIComponent(to)}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
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
at("check").addEventListener("submit", (event) => {
  event.preventDefault();
  check(at("to").value.trim());
});
