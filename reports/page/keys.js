// Keys ----------------------------------------------------------------------------------------------------------

const toOverview = { method: null, measure: null, rival: null }, toList = { picture: null, left: null, right: null };
const back = () => go(state.picture === null ? toOverview : toList, true);
const toTarget = () => go({ left: sides[0] !== "t" && gallery.samples[state.picture].target ? "t" : null });
const keys = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), x: () => go({ left: sides[1], right: sides[0] }),
  t: () => (wayOf() === "grid" ? choose("t") : toTarget()),
  s: () => go({ way: "slider" }), w: () => go({ way: "side" }), d: () => go({ way: "difference" }),
  g: () => go({ way: "grid" }), f: flicker, e: () => go({ error: state.error ? null : 1 }), c: saveCrops,
  b: () => go({ blurMap: state.blurMap ? null : 1 }), "+": () => magnify(1.5), "-": () => magnify(1 / 1.5), 0: fit,
};
const STEP = 60; // CSS pixels
const shiftKeys = {
  ArrowLeft: () => pan(STEP, 0), ArrowRight: () => pan(-STEP, 0),
  ArrowUp: () => pan(0, STEP), ArrowDown: () => pan(0, -STEP),
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
  const own = event.target === handle && handleKeys[event.key];
  const action = (event.shiftKey && shiftKeys[event.key]) || own || keys[event.key];
  const row = Number.isNaN(digit) ? undefined : ranking()[digit];
  if (row !== undefined) choose(row, event.shiftKey ? "left" : "right");
  else if (action && !(event.target === byId("gain") && event.key.startsWith("Arrow"))) {
    event.preventDefault();
    action();
  }
}

function keydown(event) {
  const { key, target } = event, typing = target === byId("filter");
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select") || reader.contains(target)) return;
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
for (const button of all("#ways button"))
  button.onclick = () => (button.dataset.way === "flicker" ? flicker() : go({ way: button.dataset.way }));
const clicks = { previous: "ArrowLeft", next: "ArrowRight", swap: "x", map: "b", error: "e", save: "c",
  in: "+", out: "-", fit: "0" };
for (const [id, name] of Object.entries(clicks)) on(id, "click", () => keys[name]());
on("gain", "input", place);
const touches = { pointerdown: press, pointermove: drag, wheel, dblclick: jump };
for (const [kind, act] of Object.entries(touches)) on("stage", kind, act);
for (const kind of ["pointerup", "pointercancel"]) on("stage", kind, ({ pointerId }) => pointers.delete(pointerId));
byId("folder").onchange = (event) => takeFiles(event.target.files);
for (const image of layers) image.onload = place;
new ResizeObserver(() => state.picture === null || place()).observe(stage);
document.addEventListener("keydown", keydown);
window.addEventListener("hashchange", show);
show();
