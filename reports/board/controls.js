// Controls and keys, and what happens when they are used.

// Controls -----------------------------------------------------------------------------------------------------------

const controls = byId("controls");

function fill(name, options, chosen) {
  const select = controls.elements[name];
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
  select.value = chosen;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

function fillControls() {
  const distinct = (values) => [...new Set(values)].filter((value) => value !== "" && value !== null).sort();
  const either = (values, text = String) => [["", "any"], ...values.map((value) => [String(value), text(value)])];
  const sights = { image: "the picture", views: "dual-pixel views" };
  const { methods } = content;
  fill("measure", measureNames.map((name) => [name, name]), state.measure);
  const names = columnsOf(measure().protocol).map((column) => columnNames[column]);
  fill("column", names.map((name) => [name, name]), state.column);
  fill("family", either(distinct(methods.map(({ family }) => family))), state.family);
  fill("inputs", either(distinct(methods.map(({ inputs }) => inputs)), (one) => sights[one] ?? one), state.inputs);
  fill("trained", either(distinct(methods.flatMap(({ trained }) => trained))), state.trained);
  fill("since", either(distinct(methods.map(({ year }) => year)), (year) => `since ${year}`), state.since);
  fill("licence", either(distinct(methods.map(({ licence }) => licence))), state.licence);
  controls.elements.show.value = state.show;
  controls.elements.show.disabled = Boolean(measure().warning);
  if (controls.elements.find.value !== state.find) controls.elements.find.value = state.find;
  for (const name of ["rulers", "published"]) controls.elements[name].checked = Boolean(state[name]);
  const view = state.method ? "method" : state.view;
  for (const node of all("[data-in]", controls)) node.hidden = !node.dataset.in.split(" ").includes(view);
  controls.hidden = !all("[data-in]", controls).some((node) => !node.hidden);
  for (const button of all("nav button")) button.ariaPressed = String(button.dataset.view === view);
}

const say = (text) => { byId("count").textContent = text; };

function show() {
  const before = state.method, screen = byId("screen");
  const focused = document.activeElement?.closest("#screen thead button")?.textContent;
  state = readState();
  hideTip();
  fillControls();
  document.title = `defocus-bench: ${state.method || "board of results"}`;
  const width = Math.max(300, screen.clientWidth);
  const screens = { table: showTable, cost: () => showCost(widthOfFigures(width)), noise: () => showNoise(width),
    published: showPublished };
  screen.replaceChildren(...(state.method ? showMethod() : screens[state.view]()));
  if (focused) all("thead button", screen).find((button) => button.textContent === focused)?.focus();
  if (state.method !== before) moveFocus(before);
  screen.querySelector("[aria-current]")?.scrollIntoView({ block: "center" });
}

const widthOfFigures = (width) => (width > 900 ? Math.floor((width - 16) / 2) : width);

function moveFocus(before) { // to where a reader goes on
  if (state.method) {
    byId("screen").querySelector("h2").focus();
    scrollTo(0, 0);
  } else all("#screen tbody th a").find((link) => link.textContent === before)?.focus();
}

// Keys and wires -----------------------------------------------------------------------------------------------------

function walk(event) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const cell = event.target.closest("td, th"), [down, along] = steps[event.key] ?? [];
  if (!cell || down === undefined) return;
  event.preventDefault();
  const lines = all("tr", cell.closest("table"));
  const next = lines[lines.indexOf(cell.parentElement) + down]?.cells[cell.cellIndex + along];
  if (!next) return;
  const target = next.querySelector("a, button") ?? next;
  if (target === next) next.tabIndex = -1;
  target.focus();
}

function keydown(event) {
  const { key, target } = event, isTyping = target.matches("input[type=search], textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return;
  const views = { t: "table", c: "cost", n: "noise", p: "published" };
  if (key === "Escape" && isTyping) target.blur();
  else if (key === "Escape" && state.method && !document.querySelector(":popover-open")) closeMethod();
  else if (isTyping || document.querySelector("#export:popover-open")) return;
  else if (key === "?") byId("help").togglePopover();
  else if (key === "/" && !state.method) { event.preventDefault(); controls.elements.find.focus(); }
  else if (Object.hasOwn(views, key)) go({ method: "", view: views[key] }, true);
  else walk(event);
}

controls.addEventListener("input", ({ target }) => {
  const value = target.type === "checkbox" ? (target.checked ? "yes" : "") : target.value;
  go({ [target.name]: value });
});
controls.addEventListener("submit", (event) => event.preventDefault());
byId("reset").onclick = () => go(Object.fromEntries(filterKeys.map((key) => [key, key === "rulers" ? "yes" : ""])));
for (const button of all("nav button")) button.onclick = () => go({ method: "", view: button.dataset.view }, true);
byId("copy").onclick = async () => {
  await copyText(byId("export").querySelector("textarea").value);
  byId("copied").textContent = "Copied";
};
document.addEventListener("keydown", keydown);
addEventListener("hashchange", show);
addEventListener("popstate", show);
let drawnWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnWidth) return;
  drawnWidth = innerWidth;
  if (!state.method && ["cost", "noise"].includes(state.view)) show();
});
show();
