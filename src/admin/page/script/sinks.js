// Whether records are kept.

const LATELY = 600000; // ms for which a lost record is news
const PLACES = { memory: "Memory", jsonl: "JSON Lines", sqlite: "SQLite" };

function sinkRow() {
  const [line, [place, written, dropped, state]] = cells([["th", { scope: "row" }], ["td", { class: "number" }], ["td", { class: "number" }], ["td"]]);
  const update = (row) => {
    const lately = row.last_dropped && Date.now() - new Date(row.last_dropped) < LATELY;
    line.dataset.state = row.error ? "failing" : lately ? "losing" : "ok";
    put(place, [row.sink, row.path], () => [inert(PLACES[row.sink] ?? row.sink), " ", row.path ? cell("small", name(row.path)) : null]);
    put(written, row.written, digits);
    put(dropped, row.dropped, digits);
    put(state, [row.error, row.since, row.last_dropped], () => {
      if (row.error) return ["failing since ", time(row.since), `: ${inert(row.error)}`];
      return row.last_dropped ? ["OK; last lost one at ", time(row.last_dropped)] : "OK";
    });
  };
  return { line, update };
}

function showSinks(sinks) {
  fill("sinks", sinks, (row) => row.sink, sinkRow);
  at("unkept").hidden = sinks.some((row) => row.path);
}
