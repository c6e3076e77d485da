// Open tunnels and requests. One press asks, a second one within a few seconds ends.

const SURE = 5000; // ms in which the second press counts

function endButton(row) {
  const end = node("button", "End", { type: "button", class: "copy", "aria-label": `End what is open to ${inert(row.destination)}` });
  end.dataset.end = row.id;
  end.dataset.what = row.destination;
  return end;
}

function tunnelRow() {
  const [line, [destination, opened, tool, client, rule, up, down, end]] = cells([
    ["th", { scope: "row" }], ["td"], ["td"], ["td", { class: "minor" }], ["td", { class: "minor" }], ["td", { class: "number" }],
    ["td", { class: "number" }], ["td", { class: "end" }],
  ]);
  const update = (row) => {
    const method = row.protocol === "http" ? row.method : null;
    put(destination, [row.destination, row.address, method], () => {
      const small = cell("small", name(row.address));
      if (method) small.prepend(name(method), " ");
      return [name(row.destination), " ", small];
    });
    put(opened, age(row.started), (text) => node("time", text, { datetime: inert(row.started), title: inert(row.started) }));
    put(tool, row.tool, name);
    put(client, row.client, name);
    put(rule, row.rule ?? "none", narrowName);
    put(up, amount(row.bytes_up), (text) => text);
    put(down, amount(row.bytes_down), (text) => text);
    put(end, row.id, () => endButton(row));
  };
  return { line, update };
}

function showTunnels(answer) {
  fill("tunnels", answer.tunnels, (row) => row.id, tunnelRow);
  const more = answer.total - answer.tunnels.length;
  at("more-tunnels").hidden = more <= 0;
  show("other-tunnels", digits(Math.max(0, more)));
}

function disarm(button) {
  delete button.dataset.sure;
  button.textContent = "End";
  button.setAttribute("aria-label", `End what is open to ${inert(button.dataset.what)}`);
}

async function endTunnel(button) {
  const { end, what, sure } = button.dataset;
  if (!sure) {
    button.dataset.sure = "yes";
    button.textContent = "Really end?";
    button.setAttribute("aria-label", `Press again to end what is open to ${inert(what)}`);
    setTimeout(() => disarm(button), SURE);
    return;
  }
  button.disabled = true;
  try {
    const answer = await fetch(`./v1/tunnels/${encodeURIComponent(end)}`, { method: "DELETE", signal: AbortSignal.timeout(PATIENCE) });
    const known = { 204: "was ended", 404: "had ended already" };
    show("ended", `What was open to ${inert(what)} ${known[answer.status] ?? "could not be ended"}.`);
  } catch {
    show("ended", `What is open to ${inert(what)} could not be ended: the proxy does not answer.`);
  }
  button.disabled = false;
  look();
}

at("tunnels").addEventListener("click", (event) => event.target.dataset?.end && endTunnel(event.target));
