// The denied destinations, and what to do about each.

const FOLD = 15; // rows; the style hides the others until they are asked for
const SVG = "http://www.w3.org/2000/svg";

// Asks as the tool that was denied; with several, as the first of them.
function whyButton(destination, tools) {
  if (destination.startsWith("*.")) return null;
  const why = node("button", "Why?", { type: "button", class: "why", "aria-label": `Why is ${inert(destination)} denied?` });
  why.dataset.to = destination;
  why.dataset.tool = tools[0] ?? "";
  return why;
}

function bar() {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = [["class", "bar"], ["viewBox", "0 0 100 4"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]];
  for (const [key, value] of attributes) svg.setAttribute(key, value);
  const part = document.createElementNS(SVG, "rect");
  part.setAttribute("height", "4");
  svg.append(part);
  return svg;
}

function advice(row) {
  const note = row.note ? node("p") : null;
  note?.append(...prose(row.note));
  if (!row.allow) {
    const now = row.allowed_now ? node("span", "allowed now", { class: "decision", "data-decision": "allow" }) : null;
    return [now, note];
  }
  const copy = node("button", "Copy rule", { type: "button", class: "copy", "aria-label": `Copy the rule that allows ${inert(row.destination)}` });
  copy.dataset.copy = row.allow;
  copy.dataset.what = row.destination;
  const shown = node("details");
  shown.append(node("summary", "Show"), node("pre", lines(row.allow)));
  if (note) shown.append(note);
  return [copy, shown];
}

function denialRow() {
  const [line, [destination, why, count, last, first, tools, rule, fix]] = cells([
    ["th", { scope: "row" }], ["td"], ["td", { class: "number" }], ["td"], ["td", { class: "minor" }], ["td", { class: "tools" }],
    ["td", { class: "minor" }], ["td", { class: "fix" }],
  ]);
  const update = (row) => {
    put(destination, row.destination, name);
    put(why, [row.reason, row.destination, row.tools ?? []], ([token, to, asking]) => [reason(token), " ", whyButton(to, asking)]);
    put(count, row.count, (times) => [digits(times), bar()]);
    count.querySelector("rect").setAttribute("width", String(Math.floor((row.count * 100) / row.most)));
    put(last, row.last, time);
    put(first, row.first, time);
    put(tools, row.tools ?? [], (named) => name(named.join(", ")));
    put(rule, row.rule ?? "none", narrowName);
    put(fix, [row.allow, row.allowed_now, row.note], () => advice(row));
  };
  return { line, update };
}

function showDenials(denials) {
  const rows = denials.destinations ?? [];
  const most = Math.max(1, ...rows.map((row) => row.count));
  fill("denials", rows.map((row) => ({ ...row, most })), (row) => `${row.destination}\n${row.reason}`, denialRow);
  at("folded").hidden = rows.length <= FOLD;
  show("unfold", at("unfold").ariaExpanded === "true" ? "Show fewer" : `Show ${rows.length - FOLD} more`);
  at("more").hidden = !denials.other;
  show("other-denials", digits(denials.other ?? 0));
}

async function copyRule(button) {
  const { copy, what } = button.dataset;
  try {
    await navigator.clipboard.writeText(copy);
    button.textContent = "Copied";
    show("copied", `The rule that allows ${inert(what)} was copied.`);
  } catch {
    // No leave to write to the clipboard: the text is marked, for the person to copy.
    const shown = button.nextElementSibling;
    shown.open = true;
    getSelection().selectAllChildren(shown.querySelector("pre"));
    button.textContent = "Marked below";
    show("copied", `The rule that allows ${inert(what)} is marked: copy it.`);
  }
  setTimeout(() => (button.textContent = "Copy rule"), 3000);
}

at("denied").classList.add("fold");
at("unfold").addEventListener("click", () => {
  const unfolded = at("denied").classList.toggle("fold") === false;
  at("unfold").ariaExpanded = String(unfolded);
  look();
});
at("denials").addEventListener("click", (event) => {
  const { to, tool, copy } = event.target.dataset ?? {};
  if (copy) copyRule(event.target);
  if (to) {
    at("to").value = to;
    check(to, tool);
    at("check").scrollIntoView({ block: "center" });
  }
});
