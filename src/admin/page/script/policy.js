// Whether the policy is in force, and what is wrong with it.

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
  showName("policy-name", policy.name);
  showName("policy-revision", policy.revision);
  show("policy-rules", digits(policy.rules ?? 0));
  show("policy-egress", inert(policy.egress));
  showName("policy-source", policy.source, narrowName);
  showName("where", policy.source);
  at("built-in").hidden = policy.source !== "built in";
  const loaded = at("policy-loaded").querySelector("time");
  loaded.dateTime = inert(policy.loaded);
  loaded.title = inert(policy.loaded);
  loaded.textContent = age(policy.loaded);
  at("problem").hidden = !policy.error;
  show("problem-text", lines(policy.error));
  const tested = policy.selftest;
  show("policy-selftest", tested ? (tested.ok ? "passed" : "failed") : "not yet");
  at("policy-selftest").title = inert(tested?.detail);
  at("unenforced").hidden = !tested || tested.ok;
  show("unenforced-text", tested && !tested.ok ? inert(tested.detail) : "");
}
