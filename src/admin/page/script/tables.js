// Tables whose rows stay the same elements while they are about the same thing: an open rule stays open, a button that was
// pressed once stays pressed, and focus stays where it is.

const tables = new Map(); // by table: its rows by key

// `build` makes a row: its element `line`, and `update`, which is given the row's content each time.
function fill(id, rows, keyOf, build) {
  const body = at(id);
  const known = tables.get(id);
  if (!known) body.replaceChildren(); // what the server wrote
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const now = new Map();
  rows.forEach((row, place) => {
    const key = keyOf(row);
    const kept = known?.get(key) ?? build(row);
    kept.update(row);
    now.set(key, kept);
    if (body.children[place] !== kept.line) body.insertBefore(kept.line, body.children[place] ?? null);
  });
  while (body.children.length > now.size) body.lastElementChild.remove();
  tables.set(id, now);
  if (at(`no-${id}`)) at(`no-${id}`).hidden = rows.length > 0;
  if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

const filled = new WeakMap(); // by cell: what it was last filled with

// Fills a cell, if what it is about has changed.
function put(target, value, make) {
  const known = JSON.stringify(value ?? null);
  if (filled.get(target) === known) return;
  filled.set(target, known);
  target.replaceChildren(...[make(value)].flat().filter((part) => part !== null && part !== undefined));
}

function cells(kinds) {
  const line = node("tr");
  const made = kinds.map(([tag, attributes]) => node(tag, undefined, attributes));
  line.append(...made);
  return [line, made];
}
