// The state is in the hash of the page's address, so that Back works and a view can be linked to. What is not there has
// a default. The parts of the script (see `SCRIPTS` in builder.py) stand in one block.
const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const content = JSON.parse(byId("content").textContent);
const screens = { overview: byId("overview"), list: byId("list"), viewer: byId("viewer") };

// State ---------------------------------------------------------------------------------------------------------

// Parts of the state by their keys in the hash: method and measure open the list of pictures, picture opens one;
// rival is the method compared with, order that of the list; left and right are methods, or "t" for the target.
// way is how pictures are compared, error that their errors are shown, tiles are the methods of the grid.
const hashKeys = { table: "t", method: "m", measure: "k", rival: "v", order: "o",
  picture: "p", left: "l", right: "r", way: "w", blurMap: "b", error: "e", tiles: "g" };
let state = null; // what the hash says; the rest follows from it
let view, gallery, measureNumber, measure; // table, its pictures, number and card of the measure
let other, sides, order; // method compared with, left and right of an open picture, samples as the list has them

function show() {
  const before = state, hash = new URLSearchParams(location.hash.slice(1)), text = (part) => hash.get(hashKeys[part]);
  const number = (part, count) => (/^\d+$/.test(text(part)) && +text(part) < count ? +text(part) : null);
  const table = number("table", content.views.length);
  view = content.views[table ?? 0];
  gallery = content.galleries[view.gallery];
  const row = (part) => number(part, view.rows.length), side = (part) => (text(part) === "t" ? "t" : row(part));
  const method = row("method"), picture = method === null ? null : number("picture", gallery.samples.length);
  state = { table, method, picture, measure: number("measure", view.measures.length), rival: row("rival"),
    left: side("left"), right: side("right"), order: text("order"), way: text("way"), blurMap: text("blurMap"),
    error: text("error"), tiles: text("tiles") };
  measureNumber = state.measure ?? 0;
  measure = view.measures[measureNumber];
  const hasRival = state.rival !== null && state.rival !== method;
  const base = Math.max(0, rows().findIndex((row) => nameOf(row) === "input")); // else the best method
  other = hasRival ? state.rival : method !== base ? base : base ? 0 : Math.min(1, view.rows.length - 1);
  sides = [state.left ?? other, state.right ?? method];
  order = method === null ? [] : sorted();
  const screen = method === null ? "overview" : picture === null ? "list" : "viewer";
  const opened = screens[screen].hidden;
  for (const [name, node] of Object.entries(screens)) node.hidden = name !== screen;
  ({ overview: showOverview, list: showList, viewer: showViewer })[screen]();
  if (opened) focus(screen, before);
}

function focus(screen, before) {
  const came = {
    overview: before
      && `#table-${state.table ?? 0} [data-row="${before.method}"][data-measure="${before.measure ?? 0}"]`,
    list: before?.picture != null ? `#list [data-sample="${before.picture}"]` : "#list h1",
    viewer: "#stage",
  }[screen];
  if (came) document.querySelector(came)?.focus({ preventScroll: screen === "viewer" });
}

function go(changes, opening = false) {
  const parts = Object.entries({ ...state, ...changes }).filter(([, value]) => value !== null);
  const hash = new URLSearchParams(parts.map(([part, value]) => [hashKeys[part], value]));
  history[opening ? "pushState" : "replaceState"](null, "", "#" + hash);
  show();
}

// A row is a number in the table, or "t" for the target.
const rows = () => [...view.rows.keys()];
const nameOf = (row) => (row === "t" ? "target" : gallery.methods[view.rows[row].method]);
const cellOf = (row, sample) => gallery.cells[view.rows[row].method][sample];
const pathOf = (row, sample) => (row === "t" ? gallery.samples[sample].target : cellOf(row, sample)?.picture) ?? null;
const scoreOf = (row, sample, number = measureNumber) => (row === "t" ? null : view.rows[row].scores[number][sample]);
const embedded = new Map(all("script[data-file]").map((node) => [node.dataset.file, node]));
const thumbnailOf = (path) => `thumbnails/${path.replace(/png$/, "jpg")}`;
const pictureOf = (path) => (content.thumbnails ? thumbnailOf(path) : path);
const titleOf = (card) => card.title + (card.unit ? ` (${card.unit})` : "");
// Of a measure with an ideal, methods are compared by their distance to it.
const compared = (value, card) => (card.ideal === null ? value : Math.abs(value - card.ideal));
const isHigherBetter = (card) => card.higher && card.ideal === null;
const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const fixed = (value, card = measure) => (value === null ? "–" : value.toFixed(card.digits).replace("-", "−"));
const signed = (value, card = measure) => (value > 0 ? "+" : "") + fixed(value, card);

function gapOf(row, against, sample, number = measureNumber) {
  const [a, b] = [row, against].map((one) => scoreOf(one, sample, number));
  const card = view.measures[number];
  return a === null || b === null ? null : compared(a, card) - compared(b, card);
}

function located(path) { // where a file lies, or the file itself where the page is a single one
  const node = embedded.get(path), kind = path.endsWith("jpg") ? "jpeg" : "png";
  return node ? `data:image/${kind};base64,${node.textContent}` : content.folder + path;
}

function whyNot(row, sample) {
  const cell = cellOf(row, sample);
  return cell === null ? "not run" : cell.why || view.rows[row].notes[measureNumber] || "not scored";
}

function fill(id, texts, chosen) {
  byId(id).replaceChildren(...texts.map(([value, text]) => make("option", { value, textContent: text })));
  byId(id).value = chosen;
}

// Overview ------------------------------------------------------------------------------------------------------

function showOverview() {
  const shown = byId("table-" + (state.table ?? 0)), lines = all("tbody tr", shown);
  byId("choice").value = state.table ?? 0;
  for (const node of all(".sheet")) node.hidden = !node.contains(shown);
  for (const node of all(".sheet .scroll")) node.hidden = node !== shown;
  const text = byId("filter").value.trim().toLowerCase();
  const off = all("#families input[value]:not(:checked)").map((box) => box.value), unmeasured = byId("unmeasured");
  for (const line of lines)
    line.hidden = !line.dataset.name.toLowerCase().includes(text) || off.includes(line.dataset.family)
      || ("unmeasured" in line.dataset && !unmeasured.checked);
  unmeasured.parentElement.hidden = !lines.some((line) => "unmeasured" in line.dataset);
  byId("count").textContent = `${lines.filter((line) => !line.hidden).length} of ${lines.length} methods`;
}

function sort(button) {
  const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
  const way = head.ariaSort === "ascending" ? "descending" : "ascending"; // the best first, or the first name
  for (const one of head.parentElement.cells) one.ariaSort = null;
  head.ariaSort = way;
  const { by } = button.dataset, sign = way === "ascending" ? 1 : -1;
  const key = (line) => (by === "name" ? line.dataset.name : line.cells[column].dataset.order);
  const compare = (a, b) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined); // no mean: last either way
    return sign * (by === "name" ? a.localeCompare(b) : a - b);
  };
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  if (by === "order") for (const line of body.rows) showPlace(line, line.cells[column].dataset);
}

function showPlace(line, { place, wins }) { // by the measure that the table is in order of
  line.querySelector(".place").textContent = place;
  line.querySelector(".wins").textContent = wins;
}

// List of pictures ----------------------------------------------------------------------------------------------

function sorted() {
  const greatest = isHigherBetter(measure) ? -1 : 1; // the sign that puts the better first
  const gap = (sample) => gapOf(state.method, other, sample);
  const score = (sample) => {
    const value = scoreOf(state.method, sample);
    return value === null ? null : compared(value, measure);
  };
  const kinds = { gain: [gap, greatest], loss: [gap, -greatest], best: [score, greatest], worst: [score, -greatest],
    name: [() => 0, 1] };
  const [number, sign] = Object.hasOwn(kinds, state.order) ? kinds[state.order] : kinds.gain;
  const keys = gallery.samples.map((_, sample) => number(sample));
  return [...keys.keys()].sort(
    (i, j) => (keys[i] === null) - (keys[j] === null) || sign * (keys[i] - keys[j]) || i - j);
}

function showList() {
  const { method } = state, names = rows().map((row) => [row, nameOf(row)]), heads = all("#list thead th");
  fill("list-method", names, method);
  fill("list-other", names.filter(([row]) => row !== method), other);
  fill("list-measure", view.measures.map((card, number) => [number, titleOf(card)]), measureNumber);
  byId("list-order").value = state.order ?? "gain";
  const table = make("small", { textContent: byId("choice").options[state.table ?? 0].text });
  screens.list.querySelector("h1").replaceChildren(`${nameOf(method)} · ${measure.title} `, table);
  [heads[1].textContent, heads[2].textContent] = [nameOf(method), nameOf(other)];
  const gaps = order.map((sample) => gapOf(method, other, sample)), greatest = Math.max(...gaps.map(Math.abs));
  const outside = order.filter((sample) => view.shared.includes(true) && !view.shared[sample]);
  byId("verdict").textContent = verdict(outside.length);
  byId("none-kept").hidden = order.some((sample) => pathOf(method, sample));
  const lines = order.map((sample, i) => lineOf(sample, gaps[i], greatest, outside.includes(sample)));
  screens.list.querySelector("tbody").replaceChildren(...lines);
}

function verdict(outside) { // a scene counts once, with the mean of its pictures, as in the tables
  const { unit } = measure, both = [state.method, other];
  const scored = (sample) => both.every((row) => scoreOf(row, sample) !== null);
  const meanScore = (row, scene) => compared(meanOf(scene.map((sample) => scoreOf(row, sample))), measure);
  const scenes = gallery.scenes.map((scene) => scene.filter(scored)).filter((scene) => scene.length);
  if (!scenes.length) return "No picture has a score under both methods.";
  const gaps = scenes.map((scene) => meanScore(both[0], scene) - meanScore(both[1], scene));
  const on = (sign) => gaps.filter((gap) => Math.sign(isHigherBetter(measure) ? gap : -gap) === sign).length;
  const mean = `mean difference ${signed(meanOf(gaps))}${unit && " " + unit}.`;
  return (measure.ranked ? `${nameOf(both[0])} is better than ${nameOf(both[1])} on ${on(1)}, worse on ${on(-1)} and `
    + `equal on ${on(0)} of ${gaps.length} ${gallery.unit}; ${mean}` : `This measure ranks nothing; ${mean}`)
    + (outside ? ` The table's means leave out the ${outside} pictures in grey, which some methods lack.` : "");
}

function lineOf(sample, gap, greatest, outside) {
  const both = [state.method, other];
  const thumbs = both.map((row) => pathOf(row, sample)).filter(Boolean).map((path) => make("img", {
    className: "thumb", loading: "lazy", alt: "", src: located(thumbnailOf(path)) }));
  const name = make("span", { textContent: gallery.samples[sample].name });
  const open = make("button", { type: "button", disabled: !pathOf(state.method, sample) }, ...thumbs, name);
  open.dataset.sample = sample;
  const bar = make("i", { className: gap > 0 === isHigherBetter(measure) ? "gain" : "loss" });
  bar.style.width = `${greatest ? (50 * Math.abs(gap)) / greatest : 0}%`;
  const figures = both.map((row) => (scoreOf(row, sample) === null
    ? make("td", { className: "number none", textContent: whyNot(row, sample) })
    : make("td", { className: "number", textContent: fixed(scoreOf(row, sample)) })));
  return make("tr", { className: outside ? "outside" : "" }, make("th", { scope: "row" }, open), ...figures,
    make("td", { className: "number", textContent: signed(gap) }), make("td", { className: "bars" }, bar));
}
