// Picture -------------------------------------------------------------------------------------------------------

const stage = byId("stage"), handle = byId("handle"), grid = byId("grid");
const layers = all("#pair .picture"), targets = all("#pair .target");
const overlays = all(".overlay img"), labels = all(".side-label");
const ways = content.thumbnails ? ["slider", "side", "flicker", "grid"]
  : ["slider", "side", "flicker", "grid", "difference"]; // small JPEGs differ by more than methods do
let front = 0; // which of the two is in sight in the way "flicker"

const wayOf = () => (ways.includes(state.way) ? state.way : ways[0]);
const showsError = () =>
  Boolean(state.error) && targetPath() !== null && wayOf() !== "difference" && !content.thumbnails;
const targetPath = () => pathOf("t", state.picture);
const hasPicture = (row) => pathOf(row, state.picture) !== null;

function load(image, path, alt = "") {
  image.alt = alt;
  image.hidden = path === null;
  if (path === null || image.dataset.path === path) return;
  image.dataset.path = path;
  image.src = located(path);
}

function showViewer() {
  const { picture, blurMap } = state, sample = gallery.samples[picture], map = blurMap ? sample.map : null;
  const at = order.indexOf(picture), way = wayOf(), error = showsError();
  screens.viewer.querySelector("h1").textContent = `${sample.name} · ${at + 1} of ${order.length}`;
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === order.length - 1;
  const names = [...rows(), ...(sample.target ? ["t"] : [])].map((row) => [row, nameOf(row)]);
  ["left", "right"].forEach((id, side) => fill(id, names, sides[side]));
  screens.viewer.querySelector(".sides").hidden = way === "grid";
  stage.className = way + (error ? " error" : "");
  for (const button of all("#ways button")) button.ariaPressed = String(button.dataset.way === way);
  byId("gain-label").hidden = way !== "difference" && !error;
  const thumbnails = content.thumbnails ? "this page has thumbnails only" : "";
  const noMap = sample.map ? "" : "no true blur map was at hand when this page was written";
  const noError = thumbnails || (sample.target ? "" : "no target was kept");
  offer("map", map !== null, noMap);
  offer("error", error, noError || (way === "difference" ? "the two are shown against each other" : ""));
  offer("save", null, thumbnails);
  byId("ways").querySelector("[data-way=difference]").disabled = content.thumbnails;
  byId("small").hidden = !content.thumbnails;
  byId("told").textContent = "";
  byId("legend").hidden = map === null;
  byId("top").textContent = map?.top;
  byId("pair").hidden = way === "grid";
  grid.hidden = way !== "grid";
  load(overlays[0], map && way !== "grid" ? map.picture : null);
  load(overlays[1], map && way === "side" ? map.picture : null);
  sides.forEach((row, side) => showSide(row, side, error));
  grid.replaceChildren(...(way === "grid" ? tiles() : []).map((row) => tileOf(row, map, error)));
  showChips();
  showScores();
  place();
  const near = [order[at - 1], order[at + 1]].filter((one) => one !== undefined); // loaded now, shown at once later
  const soon = near.flatMap((one) => (way === "grid" ? tiles() : sides).map((row) => pathOf(row, one))).filter(Boolean);
  if (!embedded.size) for (const path of soon) new Image().src = located(pictureOf(path));
}

function offer(id, pressed, reason) { // a button, or why it cannot be used
  Object.assign(byId(id), { disabled: Boolean(reason), title: reason,
    ariaPressed: pressed === null ? null : String(pressed) });
}

function loadWithTarget(image, target, row, error) {
  const { picture } = state, path = pathOf(row, picture), { name } = gallery.samples[picture];
  load(image, path && pictureOf(path), `${name}: ${error ? "error of " : ""}${nameOf(row)}`);
  load(target, error && path ? pictureOf(targetPath()) : null);
}

function showSide(row, side, error) {
  loadWithTarget(layers[side], targets[side], row, error);
  labels[side].textContent = caption(row);
}

function caption(row) {
  const { picture } = state, score = scoreOf(row, picture), name = (showsError() ? "error of " : "") + nameOf(row);
  if (hasPicture(row)) return score === null ? name : `${name} · ${measure.title} ${fixed(score)}`;
  return `${name}: no picture` + (row === "t" || score !== null ? "" : ` (${whyNot(row, state.picture)})`);
}

// Chips: the methods that have this picture, the best on it first

function ranking() {
  const sign = isHigherBetter(measure) ? -1 : 1, { picture } = state;
  const key = (row) => (scoreOf(row, picture) === null ? null : compared(scoreOf(row, picture), measure));
  const order = (a, b) => (a === null) - (b === null) || sign * (a - b);
  return rows().filter(hasPicture).sort((a, b) => order(key(a), key(b)) || a - b);
}

function showChips() {
  const chips = byId("methods"), focused = chips.contains(document.activeElement) && document.activeElement.dataset.row;
  const inGrid = wayOf() === "grid" && targetPath() !== null;
  chips.replaceChildren(...ranking().map(buttonOf), ...(inGrid ? [buttonOf("t", "t")] : []));
  if (focused) chips.querySelector(`[data-row="${focused}"]`)?.focus();
}

function buttonOf(row, key) {
  const number = key === "t" ? "t" : key < 9 ? key + 1 : null;
  const keyboard = number === null ? [] : [make("kbd", { textContent: number })];
  const score = make("small", { textContent: row === "t" ? "" : fixed(scoreOf(row, state.picture)) });
  const pressed = wayOf() === "grid" ? tiles().includes(row) : row === sides[1];
  const button = make("button", { type: "button", ariaPressed: String(pressed), onclick: () => choose(row) },
    ...keyboard, ` ${nameOf(row)} `, score);
  button.dataset.row = row;
  return button;
}

function choose(row, side = "right") {
  if (wayOf() !== "grid") return go({ [side]: row });
  const chosen = tiles();
  const others = chosen.filter((one) => one !== row);
  go({ tiles: (others.length < chosen.length ? others : [...chosen, row]).join(".") });
}

// Grid: the input, methods from the best mean on, the target; without a choice five of them and the target

function tiles() {
  const base = rows().find((row) => nameOf(row) === "input"), pictured = rows().filter(hasPicture);
  const byRank = [...pictured.filter((row) => row === base), ...pictured.filter((row) => row !== base)];
  const target = targetPath() === null ? [] : ["t"];
  if (state.tiles === null) return [...byRank.slice(0, 5), ...target];
  const chosen = state.tiles.split(".");
  return [...byRank, ...target].filter((row) => chosen.includes(String(row)));
}

function tileOf(row, map, error) {
  const image = () => make("img", { alt: "", draggable: false, onload: place });
  const picture = image(), target = image(), overlay = image();
  const layer = make("div", { className: "layer" }, picture, target);
  picture.className = "picture";
  target.className = "target";
  overlay.className = "overlay";
  loadWithTarget(picture, target, row, error);
  load(overlay, map && map.picture);
  return make("div", { className: "tile" }, layer, overlay,
    make("p", { className: "label left", textContent: caption(row) }));
}

function showScores() {
  const { picture } = state, [left, right] = sides;
  const line = (head, text) => make("tr", {}, make("th", { scope: "row", textContent: head }),
    ...view.measures.map((card, number) => make("td", { className: "number", textContent: text(card, number) })));
  const arrow = (card) => (card.ideal !== null ? " →" : card.higher ? " ↑" : " ↓");
  const heads = view.measures.map((card) =>
    make("th", { scope: "col", className: "number", textContent: titleOf(card) + arrow(card) }));
  byId("scores").hidden = wayOf() === "grid";
  byId("scores").replaceChildren(make("tr", {}, make("td", {}), ...heads),
    line("left: " + nameOf(left), (card, number) => fixed(scoreOf(left, picture, number), card)),
    line("right: " + nameOf(right), (card, number) => fixed(scoreOf(right, picture, number), card)),
    line("right − left", (card, number) => signed(gapOf(right, left, picture, number), card)));
}

function step(by) {
  const next = order[order.indexOf(state.picture) + by];
  if (next !== undefined) go({ picture: next });
}

function flicker() { // the first press shows the left one, each further one the other
  front = wayOf() === "flicker" ? 1 - front : 0;
  go({ way: "flicker" });
}
