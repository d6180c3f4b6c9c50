"use strict";
// The state is in the hash of the page's address, so that Back works and a view can be linked to: t table; m method and
// k measure (they open the list of pictures), v method compared with, o order; p picture (opens it), l and r method on
// the left and on the right ("t" for the target), w way to compare, b blur map. What is not there has a default.
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

  let state = null; // what the hash says; the rest follows from it
  let view, gallery, k, measure; // table, its pictures, number and card of the measure
  let other, sides, order; // method compared with, left and right of an open picture, samples as the list has them

  function show() {
    const before = state, given = new URLSearchParams(location.hash.slice(1));
    const number = (key, count) => (/^\d+$/.test(given.get(key)) && +given.get(key) < count ? +given.get(key) : null);
    const t = number("t", content.views.length);
    view = content.views[t ?? 0];
    gallery = content.galleries[view.gallery];
    const count = view.rows.length, side = (key) => (given.get(key) === "t" ? "t" : number(key, count));
    const m = number("m", count), p = m === null ? null : number("p", gallery.samples.length);
    state = { t, m, p, k: number("k", view.measures.length), v: number("v", count), l: side("l"), r: side("r"),
      o: given.get("o"), w: given.get("w"), b: given.get("b") };
    k = state.k ?? 0;
    measure = view.measures[k];
    other = state.v !== null && state.v !== m ? state.v : m === 0 ? Math.min(1, count - 1) : 0;
    sides = [state.l ?? other, state.r ?? m];
    order = m === null ? [] : sorted();
    const screen = m === null ? "overview" : p === null ? "list" : "viewer", opened = screens[screen].hidden;
    for (const [name, node] of Object.entries(screens)) node.hidden = name !== screen;
    ({ overview: showOverview, list: showList, viewer: showViewer })[screen]();
    if (opened) focus(screen, before);
  }

  function focus(screen, before) {
    const came = {
      overview: before && `#table-${state.t ?? 0} [data-row="${before.m}"][data-measure="${before.k ?? 0}"]`,
      list: before?.p != null ? `#list [data-sample="${before.p}"]` : "#list h1",
      viewer: "#stage",
    }[screen];
    if (came) document.querySelector(came)?.focus({ preventScroll: screen === "viewer" });
  }

  function go(changes, opening = false) {
    const kept = Object.entries({ ...state, ...changes }).filter(([, value]) => value !== null);
    history[opening ? "pushState" : "replaceState"](null, "", "#" + new URLSearchParams(kept));
    show();
  }

  // A row is a number in the table, or "t" for the target.
  const rows = () => [...view.rows.keys()];
  const nameOf = (row) => (row === "t" ? "target" : gallery.methods[view.rows[row].method]);
  const cellOf = (row, sample) => gallery.cells[view.rows[row].method][sample];
  const pathOf = (row, sample) => (row === "t" ? gallery.samples[sample].target : cellOf(row, sample)?.picture) ?? null;
  const scoreOf = (row, sample, number = k) => (row === "t" ? null : view.rows[row].scores[number][sample]);
  const located = (path) => content.folder + path;
  const titleOf = (card) => card.title + (card.unit ? ` (${card.unit})` : "");
  const fixed = (value, card = measure) => (value === null ? "–" : value.toFixed(card.digits).replace("-", "−"));
  const signed = (value, card = measure) => (value > 0 ? "+" : "") + fixed(value, card);

  function gapOf(row, against, sample, number = k) {
    const [a, b] = [row, against].map((one) => scoreOf(one, sample, number));
    return a === null || b === null ? null : a - b;
  }

  function whyNot(row, sample) {
    const cell = cellOf(row, sample);
    return cell === null ? "not run" : cell.why || view.rows[row].notes[k] || "not scored";
  }

  function fill(id, texts, chosen) {
    byId(id).replaceChildren(...texts.map(([value, text]) => make("option", { value, textContent: text })));
    byId(id).value = chosen;
  }

  // Overview ------------------------------------------------------------------------------------------------------

  function showOverview() {
    const shown = byId("table-" + (state.t ?? 0)), lines = all("tbody tr", shown);
    byId("choice").value = state.t ?? 0;
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
    const { m, o } = state, greatest = measure.higher ? -1 : 1; // the sign that puts the better first
    const kinds = {
      gain: [(sample) => gapOf(m, other, sample), greatest], loss: [(sample) => gapOf(m, other, sample), -greatest],
      best: [(sample) => scoreOf(m, sample), greatest], worst: [(sample) => scoreOf(m, sample), -greatest],
      name: [() => 0, 1],
    };
    const [number, sign] = Object.hasOwn(kinds, o) ? kinds[o] : kinds.gain;
    const keys = gallery.samples.map((_, sample) => number(sample));
    return [...keys.keys()].sort(
      (i, j) => (keys[i] === null) - (keys[j] === null) || sign * (keys[i] - keys[j]) || i - j);
  }

  function showList() {
    const { m } = state, names = rows().map((row) => [row, nameOf(row)]), heads = all("#list thead th");
    fill("list-method", names, m);
    fill("list-other", names.filter(([row]) => row !== m), other);
    fill("list-measure", view.measures.map((card, number) => [number, titleOf(card)]), k);
    byId("list-order").value = state.o ?? "gain";
    const table = make("small", { textContent: byId("choice").options[state.t ?? 0].text });
    screens.list.querySelector("h1").replaceChildren(`${nameOf(m)} · ${measure.title} `, table);
    [heads[1].textContent, heads[2].textContent] = [nameOf(m), nameOf(other)];
    const gaps = order.map((sample) => gapOf(m, other, sample)), greatest = Math.max(...gaps.map(Math.abs));
    const outside = order.filter((sample) => view.shared.includes(true) && !view.shared[sample]);
    byId("verdict").textContent = verdict(gaps.filter((gap) => gap !== null), outside.length);
    byId("none-kept").hidden = order.some((sample) => pathOf(m, sample));
    const lines = order.map((sample, i) => lineOf(sample, gaps[i], greatest, outside.includes(sample)));
    screens.list.querySelector("tbody").replaceChildren(...lines);
  }

  function verdict(gaps, outside) {
    if (!gaps.length) return "No picture has a score under both methods.";
    const better = gaps.filter((gap) => (measure.higher ? gap > 0 : gap < 0)).length;
    const equal = gaps.filter((gap) => gap === 0).length, worse = gaps.length - better - equal;
    const mean = signed(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length) + (measure.unit && " " + measure.unit);
    return `${nameOf(state.m)} is better than ${nameOf(other)} on ${better}, worse on ${worse} and equal on ${equal} `
      + `of ${gaps.length} pictures; mean difference ${mean}.`
      + (outside ? ` The table's means leave out the ${outside} pictures in grey, which some methods lack.` : "");
  }

  function lineOf(sample, gap, greatest, outside) {
    const both = [state.m, other];
    const thumbs = both.map((row) => pathOf(row, sample)).filter(Boolean).map((path) => make("img", {
      className: "thumb", loading: "lazy", alt: "", src: located(`thumbnails/${path.replace(/png$/, "jpg")}`) }));
    const name = make("span", { textContent: gallery.samples[sample].name });
    const open = make("button", { type: "button", disabled: !pathOf(state.m, sample) }, ...thumbs, name);
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
    const { p } = state, sample = gallery.samples[p], at = order.indexOf(p), map = state.b ? sample.map : null;
    screens.viewer.querySelector("h1").textContent = `${sample.name} · ${at + 1} of ${order.length}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === order.length - 1;
    const names = [...rows(), ...(sample.target ? ["t"] : [])].map((row) => [row, nameOf(row)]);
    ["left", "right"].forEach((id, side) => fill(id, names, sides[side]));
    stage.className = ["side", "difference"].includes(state.w) ? state.w : "slider";
    for (const button of all("#ways button")) button.ariaPressed = String(button.dataset.way === stage.className);
    byId("gain-label").hidden = stage.className !== "difference";
    Object.assign(byId("map"), { disabled: !sample.map, ariaPressed: String(map !== null),
      title: sample.map ? "" : "no true blur map was at hand when this page was written" });
    byId("legend").hidden = map === null;
    byId("top").textContent = map?.top;
    load(overlays[0], map && map.picture);
    load(overlays[1], map && stage.className === "side" ? map.picture : null);
    sides.forEach((row, side) => {
      load(layers[side], pathOf(row, p), `${sample.name}: ${nameOf(row)}`);
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
    const score = scoreOf(row, state.p), name = nameOf(row);
    if (pathOf(row, state.p) !== null) return score === null ? name : `${name} · ${measure.title} ${fixed(score)}`;
    return `${name}: no picture` + (row === "t" || score !== null ? "" : ` (${whyNot(row, state.p)})`);
  }

  function buttonOf(row) {
    const key = row < 9 ? [make("kbd", { textContent: row + 1 })] : [];
    const score = make("small", { textContent: fixed(scoreOf(row, state.p)) });
    const facts = { type: "button", ariaPressed: String(row === sides[1]), disabled: pathOf(row, state.p) === null };
    return make("button", { ...facts, onclick: () => go({ r: row }) }, ...key, ` ${nameOf(row)} `, score);
  }

  function showScores() {
    const { p } = state, [left, right] = sides;
    const line = (head, text) => make("tr", {}, make("th", { scope: "row", textContent: head }),
      ...view.measures.map((card, number) => make("td", { className: "number", textContent: text(card, number) })));
    const arrow = (card) => (card.higher ? " ↑" : " ↓");
    const heads = view.measures.map((card) =>
      make("th", { scope: "col", className: "number", textContent: titleOf(card) + arrow(card) }));
    byId("scores").replaceChildren(make("tr", {}, make("td", {}), ...heads),
      line("left: " + nameOf(left), (card, number) => fixed(scoreOf(left, p, number), card)),
      line("right: " + nameOf(right), (card, number) => fixed(scoreOf(right, p, number), card)),
      line("right − left", (card, number) => signed(gapOf(right, left, p, number), card)));
  }

  function step(by) {
    const next = order[order.indexOf(state.p) + by];
    if (next !== undefined) go({ p: next });
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

  const back = () => go(state.p === null ? { m: null, k: null, v: null } : { p: null, l: null, r: null }, true);
  const toTarget = () => go({ l: sides[0] !== "t" && gallery.samples[state.p].target ? "t" : null });
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), x: () => go({ l: sides[1], r: sides[0] }), t: toTarget,
    s: () => go({ w: "slider" }), w: () => go({ w: "side" }), d: () => go({ w: "difference" }),
    b: () => go({ b: state.b ? null : 1 }), "+": () => magnify(1.5), "-": () => magnify(1 / 1.5), 0: fit,
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
    if (digit < view.rows.length) go({ [event.shiftKey ? "l" : "r"]: digit });
    else if (action && event.target !== byId("gain")) { event.preventDefault(); action(); }
  }

  function keydown(event) {
    const { key, target } = event, typing = target === byId("filter");
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return;
    if (key === "Escape" && typing) target.blur();
    else if (key === "Escape" && state.m !== null && !document.querySelector(":popover-open")) back();
    else if (typing) return;
    else if (key === "?") byId("help").togglePopover();
    else if (key === "/" && state.m === null) { event.preventDefault(); byId("filter").focus(); }
    else if (state.p === null) walk(event);
    else keyInViewer(event);
  }

  // Wires ---------------------------------------------------------------------------------------------------------

  const on = (id, kind, act) => byId(id).addEventListener(kind, act, { passive: false });
  on("choice", "change", (event) => go({ t: event.target.value }));
  on("filter", "input", showOverview);
  on("families", "change", showOverview);
  for (const button of all("#overview thead button")) button.onclick = () => sort(button);
  for (const { dataset, parentElement } of all(".figure"))
    parentElement.onclick = () => go({ m: dataset.row, k: dataset.measure }, true);
  const lists = { "list-method": "m", "list-other": "v", "list-measure": "k", "list-order": "o" };
  for (const [id, name] of Object.entries({ ...lists, left: "l", right: "r" }))
    on(id, "change", (event) => { go({ [name]: event.target.value }); if (state.p !== null) stage.focus(); });
  screens.list.querySelector("tbody").onclick = (event) => {
    const open = event.target.closest("tr").querySelector("button:enabled");
    if (open) go({ p: open.dataset.sample }, true);
  };
  for (const button of all(".back")) button.onclick = back;
  for (const button of all("#ways button")) button.onclick = () => go({ w: button.dataset.way });
  const clicks = { previous: "ArrowLeft", next: "ArrowRight", swap: "x", map: "b", in: "+", out: "-", fit: "0" };
  for (const [id, name] of Object.entries(clicks)) on(id, "click", () => keys[name]());
  on("gain", "input", place);
  const touches = { pointerdown: press, pointermove: drag, wheel, dblclick: jump };
  for (const [kind, act] of Object.entries(touches)) on("stage", kind, act);
  for (const kind of ["pointerup", "pointercancel"]) on("stage", kind, ({ pointerId }) => pointers.delete(pointerId));
  for (const image of layers) image.onload = place;
  new ResizeObserver(() => state.p === null || place()).observe(stage);
  document.addEventListener("keydown", keydown);
  window.addEventListener("hashchange", show);
  show();
}
