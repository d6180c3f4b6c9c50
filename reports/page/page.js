"use strict";
// The state is in the hash of the page's address, so that Back works and a view can be linked to. What is not there has
// a default.
{
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
  const hashKeys = { table: "t", method: "m", measure: "k", rival: "v", order: "o",
    picture: "p", left: "l", right: "r", way: "w", blurMap: "b" };
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
      left: side("left"), right: side("right"), order: text("order"), way: text("way"), blurMap: text("blurMap") };
    measureNumber = state.measure ?? 0;
    measure = view.measures[measureNumber];
    const hasRival = state.rival !== null && state.rival !== method;
    other = hasRival ? state.rival : method === 0 ? Math.min(1, view.rows.length - 1) : 0;
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
  const located = (path) => content.folder + path;
  const titleOf = (card) => card.title + (card.unit ? ` (${card.unit})` : "");
  const fixed = (value, card = measure) => (value === null ? "–" : value.toFixed(card.digits).replace("-", "−"));
  const signed = (value, card = measure) => (value > 0 ? "+" : "") + fixed(value, card);

  function gapOf(row, against, sample, number = measureNumber) {
    const [a, b] = [row, against].map((one) => scoreOf(one, sample, number));
    return a === null || b === null ? null : a - b;
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
    const off = all("#families input:not(:checked)").map((box) => box.value);
    for (const line of lines)
      line.hidden = !line.dataset.name.toLowerCase().includes(text) || off.includes(line.dataset.family);
    byId("count").textContent = `${lines.filter((line) => !line.hidden).length} of ${lines.length} methods`;
  }

  function sort(button) {
    const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
    const way = { ascending: "descending", descending: "ascending" }[head.ariaSort] ?? button.dataset.first;
    for (const one of head.parentElement.cells) one.ariaSort = null;
    head.ariaSort = way;
    const key = (line) => (column ? line.cells[column].dataset.mean : line.dataset.name);
    const compare = (a, b) => {
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined); // no mean: last either way
      return (way === "ascending" ? 1 : -1) * (column ? a - b : a.localeCompare(b));
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  }

  // List of pictures ----------------------------------------------------------------------------------------------

  function sorted() {
    const greatest = measure.higher ? -1 : 1; // the sign that puts the better first
    const gap = (sample) => gapOf(state.method, other, sample), score = (sample) => scoreOf(state.method, sample);
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
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const gapsOf = (scene) => scene.map((sample) => gapOf(state.method, other, sample)).filter((gap) => gap !== null);
    const gaps = gallery.scenes.map(gapsOf).filter((own) => own.length).map(mean), { unit } = measure;
    if (!gaps.length) return "No picture has a score under both methods.";
    const on = (sign) => gaps.filter((gap) => Math.sign(measure.higher ? gap : -gap) === sign).length;
    return `${nameOf(state.method)} is better than ${nameOf(other)} on ${on(1)}, worse on ${on(-1)} and equal on `
      + `${on(0)} of ${gaps.length} ${gallery.unit}; mean difference ${signed(mean(gaps))}${unit && " " + unit}.`
      + (outside ? ` The table's means leave out the ${outside} pictures in grey, which some methods lack.` : "");
  }

  function lineOf(sample, gap, greatest, outside) {
    const both = [state.method, other];
    const thumbs = both.map((row) => pathOf(row, sample)).filter(Boolean).map((path) => make("img", {
      className: "thumb", loading: "lazy", alt: "", src: located(`thumbnails/${path.replace(/png$/, "jpg")}`) }));
    const name = make("span", { textContent: gallery.samples[sample].name });
    const open = make("button", { type: "button", disabled: !pathOf(state.method, sample) }, ...thumbs, name);
    open.dataset.sample = sample;
    const bar = make("i", { className: gap > 0 === measure.higher ? "gain" : "loss" });
    bar.style.width = `${greatest ? (50 * Math.abs(gap)) / greatest : 0}%`;
    const figures = both.map((row) => (scoreOf(row, sample) === null
      ? make("td", { className: "number none", textContent: whyNot(row, sample) })
      : make("td", { className: "number", textContent: fixed(scoreOf(row, sample)) })));
    return make("tr", { className: outside ? "outside" : "" }, make("th", { scope: "row" }, open), ...figures,
      make("td", { className: "number", textContent: signed(gap) }), make("td", { className: "bars" }, bar));
  }

  // Picture -------------------------------------------------------------------------------------------------------

  const stage = byId("stage"), handle = byId("handle");
  const layers = all("#pair img"), overlays = all(".overlay img"), labels = all(".side-label");

  function load(image, path, alt = "") {
    image.alt = alt;
    image.hidden = path === null;
    if (path !== null && image.getAttribute("src") !== located(path)) image.src = located(path);
  }

  function showViewer() {
    const { picture, blurMap } = state, sample = gallery.samples[picture], map = blurMap ? sample.map : null;
    const at = order.indexOf(picture);
    screens.viewer.querySelector("h1").textContent = `${sample.name} · ${at + 1} of ${order.length}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === order.length - 1;
    const names = [...rows(), ...(sample.target ? ["t"] : [])].map((row) => [row, nameOf(row)]);
    ["left", "right"].forEach((id, side) => fill(id, names, sides[side]));
    stage.className = ["side", "difference"].includes(state.way) ? state.way : "slider";
    for (const button of all("#ways button")) button.ariaPressed = String(button.dataset.way === stage.className);
    byId("gain-label").hidden = stage.className !== "difference";
    Object.assign(byId("map"), { disabled: !sample.map, ariaPressed: String(map !== null),
      title: sample.map ? "" : "no true blur map was at hand when this page was written" });
    byId("legend").hidden = map === null;
    byId("top").textContent = map?.top;
    load(overlays[0], map && map.picture);
    load(overlays[1], map && stage.className === "side" ? map.picture : null);
    sides.forEach((row, side) => {
      load(layers[side], pathOf(row, picture), `${sample.name}: ${nameOf(row)}`);
      labels[side].textContent = caption(row);
    });
    byId("methods").replaceChildren(...rows().map(buttonOf));
    showScores();
    place();
    const near = [order[at - 1], order[at + 1]].filter((one) => one !== undefined); // loaded now, shown at once later
    for (const path of near.flatMap((one) => sides.map((row) => pathOf(row, one))).filter(Boolean))
      new Image().src = located(path);
  }

  function caption(row) {
    const { picture } = state, score = scoreOf(row, picture), name = nameOf(row);
    if (pathOf(row, picture) !== null) return score === null ? name : `${name} · ${measure.title} ${fixed(score)}`;
    return `${name}: no picture` + (row === "t" || score !== null ? "" : ` (${whyNot(row, state.picture)})`);
  }

  function buttonOf(row) {
    const key = row < 9 ? [make("kbd", { textContent: row + 1 })] : [];
    const score = make("small", { textContent: fixed(scoreOf(row, state.picture)) });
    const facts = { type: "button", ariaPressed: String(row === sides[1]), disabled: !pathOf(row, state.picture) };
    return make("button", { ...facts, onclick: () => go({ right: row }) }, ...key, ` ${nameOf(row)} `, score);
  }

  function showScores() {
    const { picture } = state, [left, right] = sides;
    const line = (head, text) => make("tr", {}, make("th", { scope: "row", textContent: head }),
      ...view.measures.map((card, number) => make("td", { className: "number", textContent: text(card, number) })));
    const arrow = (card) => (card.higher ? " ↑" : " ↓");
    const heads = view.measures.map((card) =>
      make("th", { scope: "col", className: "number", textContent: titleOf(card) + arrow(card) }));
    byId("scores").replaceChildren(make("tr", {}, make("td", {}), ...heads),
      line("left: " + nameOf(left), (card, number) => fixed(scoreOf(left, picture, number), card)),
      line("right: " + nameOf(right), (card, number) => fixed(scoreOf(right, picture, number), card)),
      line("right − left", (card, number) => signed(gapOf(right, left, picture, number), card)));
  }

  function step(by) {
    const next = order[order.indexOf(state.picture) + by];
    if (next !== undefined) go({ picture: next });
  }

  // Zoom: both pictures have one scale and one offset, in CSS pixels of the pane that shows them -------------------

  const zoom = { scale: 1, x: 0, y: 0, fitted: true, split: 50 };
  const panes = () => layers.map((image) => image.parentElement.getBoundingClientRect());

  function place() {
    const [pane] = panes(), way = stage.className, image = layers.find((one) => !one.hidden && one.naturalWidth);
    const [width, height] = image ? [image.naturalWidth, image.naturalHeight] : [1, 1];
    const least = Math.min(pane.width / width, pane.height / height);
    zoom.scale = zoom.fitted ? least : Math.min(32, Math.max(zoom.scale, Math.min(least, 1 / devicePixelRatio)));
    // A picture smaller than its pane is centred; a greater one leaves no gap.
    const within = (at, room, size) => (size < room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    zoom.x = within(zoom.x, pane.width, width * zoom.scale);
    zoom.y = within(zoom.y, pane.height, height * zoom.scale);
    for (const one of [...layers, ...overlays]) {
      one.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
      one.classList.toggle("pixels", zoom.scale * devicePixelRatio >= 3);
    }
    byId("scale").textContent = `${Math.round(100 * zoom.scale * devicePixelRatio)} %`;
    layers[1].parentElement.style.clipPath = way === "slider" ? `inset(0 0 0 ${zoom.split}%)` : "";
    byId("pair").style.filter = way === "difference" ? `brightness(${byId("gain").value})` : "";
    byId("times").textContent = "×" + byId("gain").value;
    handle.style.left = zoom.split + "%";
    handle.ariaValueNow = String(Math.round(zoom.split));
  }

  function change(values) {
    Object.assign(zoom, values);
    place();
  }

  const fit = () => change({ fitted: true });
  const slide = (percent) => change({ split: Math.min(100, Math.max(0, percent)) });
  const pan = (x, y) => change({ x: zoom.x + x, y: zoom.y + y });

  function magnify(factor, x = panes()[0].width / 2, y = panes()[0].height / 2) {
    const scale = Math.min(32, zoom.scale * factor), ratio = scale / zoom.scale;
    change({ scale, x: x - (x - zoom.x) * ratio, y: y - (y - zoom.y) * ratio, fitted: false });
  }

  function magnifyAt(factor, x, y) {
    const pane = panes().find(({ right, bottom }) => x <= right && y <= bottom) ?? panes()[0];
    magnify(factor, x - pane.left, y - pane.top);
  }

  const pointers = new Map();
  let sliding = false;

  function press(event) {
    sliding = event.target === handle || (zoom.fitted && stage.className === "slider"); // nothing to move when fitted
    pointers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
  }

  function drag(event) {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const still = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    pointers.set(event.pointerId, event);
    if (still) pinch(before, event, still);
    else if (sliding) slide((100 * (event.clientX - stage.getBoundingClientRect().left)) / stage.clientWidth);
    else pan(event.clientX - before.clientX, event.clientY - before.clientY);
  }

  function pinch(before, now, still) {
    const apart = ({ clientX, clientY }) => Math.hypot(clientX - still.clientX, clientY - still.clientY) || 1;
    magnifyAt(apart(now) / apart(before), (now.clientX + still.clientX) / 2, (now.clientY + still.clientY) / 2);
    pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
  }

  function wheel(event) {
    event.preventDefault();
    const speed = event.ctrlKey ? 100 : 400; // a trackpad's pinch comes as a slow wheel with Ctrl
    magnifyAt(Math.exp(-event.deltaY / speed), event.clientX, event.clientY);
  }

  function jump(event) {
    if (zoom.fitted) magnifyAt(Math.max(2, 1 / devicePixelRatio / zoom.scale), event.clientX, event.clientY);
    else fit();
  }

  // Keys ----------------------------------------------------------------------------------------------------------

  const toOverview = { method: null, measure: null, rival: null }, toList = { picture: null, left: null, right: null };
  const back = () => go(state.picture === null ? toOverview : toList, true);
  const toTarget = () => go({ left: sides[0] !== "t" && gallery.samples[state.picture].target ? "t" : null });
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), x: () => go({ left: sides[1], right: sides[0] }), t: toTarget,
    s: () => go({ way: "slider" }), w: () => go({ way: "side" }), d: () => go({ way: "difference" }),
    b: () => go({ blurMap: state.blurMap ? null : 1 }), "+": () => magnify(1.5), "-": () => magnify(1 / 1.5), 0: fit,
  };
  const handleKeys = {
    ArrowLeft: () => slide(zoom.split - 2), ArrowRight: () => slide(zoom.split + 2),
    Home: () => slide(0), End: () => slide(100),
  };

  function walk(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const cell = event.target.closest("td, th"), [down, along] = steps[event.key] ?? [];
    if (!cell || down === undefined) return;
    event.preventDefault();
    const lines = all("tr:not([hidden])", cell.closest("table"));
    lines[lines.indexOf(cell.parentElement) + down]?.cells[cell.cellIndex + along]?.querySelector("button")?.focus();
  }

  function keyInViewer(event) {
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1] - 1; // by place, because Shift changes the character
    const action = (event.target === handle && handleKeys[event.key]) || keys[event.key];
    if (digit < view.rows.length) go({ [event.shiftKey ? "left" : "right"]: digit });
    else if (action && event.target !== byId("gain")) { event.preventDefault(); action(); }
  }

  function keydown(event) {
    const { key, target } = event, typing = target === byId("filter");
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return;
    if (key === "Escape" && typing) target.blur();
    else if (key === "Escape" && state.method !== null && !document.querySelector(":popover-open")) back();
    else if (typing) return;
    else if (key === "?") byId("help").togglePopover();
    else if (key === "/" && state.method === null) { event.preventDefault(); byId("filter").focus(); }
    else if (state.picture === null) walk(event);
    else keyInViewer(event);
  }

  // Wires ---------------------------------------------------------------------------------------------------------

  const on = (id, kind, act) => byId(id).addEventListener(kind, act, { passive: false });
  on("choice", "change", (event) => go({ table: event.target.value }));
  on("filter", "input", showOverview);
  on("families", "change", showOverview);
  for (const button of all("#overview thead button")) button.onclick = () => sort(button);
  for (const { dataset, parentElement } of all(".figure"))
    parentElement.onclick = () => go({ method: dataset.row, measure: dataset.measure }, true);
  const lists = { "list-method": "method", "list-other": "rival", "list-measure": "measure", "list-order": "order" };
  for (const [id, name] of Object.entries({ ...lists, left: "left", right: "right" }))
    on(id, "change", (event) => { go({ [name]: event.target.value }); if (state.picture !== null) stage.focus(); });
  screens.list.querySelector("tbody").onclick = (event) => {
    const open = event.target.closest("tr").querySelector("button:enabled");
    if (open) go({ picture: open.dataset.sample }, true);
  };
  for (const button of all(".back")) button.onclick = back;
  for (const button of all("#ways button")) button.onclick = () => go({ way: button.dataset.way });
  const clicks = { previous: "ArrowLeft", next: "ArrowRight", swap: "x", map: "b", in: "+", out: "-", fit: "0" };
  for (const [id, name] of Object.entries(clicks)) on(id, "click", () => keys[name]());
  on("gain", "input", place);
  const touches = { pointerdown: press, pointermove: drag, wheel, dblclick: jump };
  for (const [kind, act] of Object.entries(touches)) on("stage", kind, act);
  for (const kind of ["pointerup", "pointercancel"]) on("stage", kind, ({ pointerId }) => pointers.delete(pointerId));
  for (const image of layers) image.onload = place;
  new ResizeObserver(() => state.picture === null || place()).observe(stage);
  document.addEventListener("keydown", keydown);
  window.addEventListener("hashchange", show);
  show();
}
