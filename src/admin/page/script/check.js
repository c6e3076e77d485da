// "Would this be allowed?"

async function check(to, tool) {
  const answer = at("answer");
  answer.dataset.decision = "";
  answer.textContent = "Asking…";
  try {
    const asked = new URLSearchParams(tool ? { to, tool } : { to });
    const response = await fetch(`./v1/check?${asked}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const text = await response.text();
    if (!response.ok) throw new Error(`That could not be judged: ${inert(text).slice(0, 300)}`);
    const verdict = JSON.parse(text);
    const means = meaning(verdict.reason);
    const rule = verdict.rule ? ` Rule: ${verdict.rule}.` : "";
    const hint = verdict.hint ? ` ${verdict.hint.replace(/\.$/, "")}.` : "";
    const why = `${verdict.reason}${means ? `, ${means}` : ""}`;
    const words = {
      allow: `Allowed: ${verdict.destination}.${rule}`,
      deny: `Denied: ${verdict.destination} (${why}).${hint}${rule}`,
      observe: `Would be denied, observe mode lets it pass: ${verdict.destination} (${why}).${hint}${rule}`,
    };
    answer.dataset.decision = inert(verdict.decision);
    answer.replaceChildren(...prose(words[verdict.decision] ?? text));
  } catch (error) {
    answer.textContent = error.name === "TimeoutError" || error instanceof TypeError ? "The proxy does not answer." : error.message;
  }
}

at("check").hidden = false;
at("check").addEventListener("submit", (event) => {
  event.preventDefault();
  check(at("to").value.trim(), at("as-tool").value);
});
