// The screens: table, cost, noise, published, and a page for each method.

const NO_REASON = "not run";

// Overview -----------------------------------------------------------------------------------------------------------

function tableSheet(methods, columns) {
  const { digits } = measure();
  const isGain = state.show === "gain";
  const first = isGain || measure().higher ? "descending" : "ascending";
  const scales = columns.map((column) => Math.max(0, ...methods.map((method) => reachOf(numbersOf(method, column)))));
  const ranked = columns.find((column) => columnNames[column] === state.sort);
  return {
    caption: `${isGain ? "Gain over the input in" : "Mean"} ${titleOf(measure())}${isGain ? "" : ` ${measure().arrow}`}, `
      + `protocol ${measure().protocol}, with 95 % intervals`,
    columns: [
      { key: "method", title: "Method", first: "ascending" },
      ...(ranked === undefined ? [] : [{ key: "rank", title: "#", number: true }]),
      ...columns.map((column) => ({ key: columnNames[column], number: true, first,
        title: content.columns[column].dataset, sub: columnNames[column].slice(content.columns[column].dataset.length + 3),
        fields: [isGain ? "gain" : "mean", "low", "high", "n"] })),
    ],
    lines: methods.map((method) => ({
      look: content.methods[method].ruler ? "ruler" : "",
      cells: [
        methodCell(method),
        ...(ranked === undefined ? [] : [{ text: String(scoreOf(method, ranked)?.rank ?? "–") }]),
        ...columns.map((column, i) => numberCell(method, column, scales[i], digits)),
      ],
    })),
  };
}

const reachOf = (numbers) => (numbers ? Math.abs(numbers.mean) : 0);

function methodCell(method) {
  const { name, family, ruler } = content.methods[method];
  const link = make("a", { href: hashOf({ method: name }) }, ...breakable(name));
  return { text: name, sort: name, node: make("span", {}, link, make("span", { className: "family",
    textContent: ruler ? "ruler" : family })) };
}

function numberCell(method, column, scale, digits) {
  const result = resultOf.get(`${method} ${column}`), score = scoreOf(method, column);
  const printed = state.published ? printedText(method, column) : "";
  const numbers = numbersOf(method, column);
  if (numbers === null) return { text: score?.mean === undefined ? "–" : inputText(score, digits), look: "none", printed,
    title: score?.note ?? (result ? "" : NO_REASON) };
  const { mean, low, high, n } = numbers;
  const text = (state.show === "gain" ? asGain(mean) : asMean(mean)) + (result.marks.includes("§") ? " §" : "");
  const cell = { text, sort: mean, small: bounds(numbers, digits), fields: [mean, low ?? "", high ?? "", n], printed,
    strong: score.mark === "best", title: tell(numbers, n) };
  if (state.show === "gain") Object.assign(cell, { look: `gain-cell ${wayOf(numbers)}`, bar: barOf(mean, scale) });
  return cell;
}

const tell = ({ wins, p }, n) => (wins === undefined ? `n = ${n}` : `better on ${wins} of ${n}, p = ${p}`);
const inputText = (score, digits) => (score.gain === null ? asMean(score.mean, { digits }) : "–");

function wayOf({ low, high }) {
  if (low === null || (low <= 0 && high >= 0)) return "unclear";
  return low > 0 ? "gains" : "loses";
}

function barOf(mean, scale) {
  const length = scale ? (50 * Math.abs(mean)) / scale : 0;
  return draw("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", class: "bar-of-gain" },
    draw("rect", { x: mean < 0 ? 50 - length : 50, y: 1, width: length, height: 4 }), draw("path", { d: "M50 0V6" }));
}

function printedText(method, column) {
  const { dataset, sigma, kind } = content.columns[column];
  const lines = content.printed.filter((line) => line.methods.includes(method) && line.dataset === dataset
    && line.sigma === sigma && !line.part && !kind);
  const values = lines.flatMap(({ values: all }) => (all[measure().metric] ?? []).map(([value]) => value).filter(Boolean));
  return values.length ? `published ${[...new Set(values)].join(", ")}` : "";
}

function showTable() {
  const columns = columnsOf(measure().protocol), chosen = chosenMethods();
  const isMeasured = (method) => columns.some((column) => scoreOf(method, column)?.mean !== undefined);
  const isKnown = state.sort === "method" || columns.some((column) => columnNames[column] === state.sort);
  if (!isKnown) state = { ...state, sort: columnNames[columns[0]], order: "" };
  const methods = chosen.filter(isMeasured);
  say(`${methods.length} of ${content.methods.length} methods`);
  return [drawSheet(tableSheet(methods, columns)), ...explain(columns),
    ...unmeasured(chosen.filter((method) => !isMeasured(method)))];
}

function unmeasured(methods) {
  if (!methods.length) return [];
  const names = methods.map((method) => content.methods[method].name).join(", ");
  return [make("p", { className: "hint", textContent: `Without a number in this measure: ${names}.` })];
}

function explain(columns) {
  const legend = state.show === "gain"
    ? "A gain is positive where a method is better than the unprocessed input of the same scenes; blue and orange: its "
      + "interval leaves out 0. The row of the input has its mean. Bold: among the best, which no test tells apart."
    : "Bold: among the best, which no test tells apart.";
  const warning = measure().warning ? [make("p", { className: "hint", textContent: measure().warning })] : [];
  const places = [...new Set(columns.flatMap((column) => content.columns[column].notes))];
  const notes = make("details", {}, make("summary", { textContent: `Notes on these numbers (${places.length})` }),
    make("ul", { className: "notes" }, ...places.map((place) => make("li", { textContent: content.notes[place] }))));
  return [...warning, make("p", { className: "hint", textContent: legend }), notes];
}

// Cost ---------------------------------------------------------------------------------------------------------------

function showCost(width) {
  const columns = columnsOf(measure().protocol), { panels, notes } = content.costs;
  const chosen = chosenMethods(), column = columnOfCosts(panels, chosen, columns);
  say(`${chosen.length} of ${content.methods.length} methods`);
  const figures = panels.flatMap((panel) => {
    const points = pointsOf(panel, chosen, column);
    if (!points.length) return [];
    return [make("figure", {}, make("figcaption", { textContent: `${panel.title}: ${columnNames[column]}` }),
      drawCostPlot(panel, points, width))];
  });
  const legend = make("p", { className: "hint legend" }, ...["learned", "classical", "baseline", "ruler"].map((family) =>
    make("span", { className: `key ${family}`, textContent: family })), " Line and rings: the front, the best that can be "
    + "had at a cost.");
  const lines = notes.map((text) => make("li", { textContent: text }));
  return [...(figures.length ? [legend, make("div", { className: "figures" }, ...figures),
    drawSheet(costSheet(panels, chosen, column))] : [make("p", { textContent: "Of none of these methods a cost is known." })]),
    make("ul", { className: "notes" }, ...lines)];
}

function columnOfCosts(panels, methods, columns) { // the one asked for, else the first with the most points
  const asked = columns.find((one) => columnNames[one] === state.column);
  if (asked !== undefined) return asked;
  const counts = columns.map((column) => panels.reduce((sum, panel) => sum + pointsOf(panel, methods, column).length, 0));
  const column = columns[counts.indexOf(Math.max(...counts))];
  controls.elements.column.value = columnNames[column];
  return column;
}

function pointsOf(panel, methods, column) {
  return methods.flatMap((method) => {
    const cost = panel.values[method], numbers = numbersOf(method, column);
    return cost > 0 && numbers ? [{ method, cost, value: numbers.mean, low: numbers.low, high: numbers.high }] : [];
  });
}

function costSheet(panels, methods, column) {
  const isKnown = (method) => panels.some((panel) => panel.values[method] !== undefined);
  const known = methods.filter((method) => isKnown(method) && numbersOf(method, column) !== null);
  const field = state.show;
  return {
    caption: `Quality on ${columnNames[column]} and costs`,
    columns: [{ key: "method", title: "Method", first: "ascending" },
      { key: "quality", title: axisTitle(), number: true, first: isBetterHigher() ? "descending" : "ascending",
        fields: [field, "low", "high"] },
      ...panels.map(({ title }) => ({ key: title, title, number: true, first: "ascending", fields: ["value"] }))],
    lines: known.map((method) => {
      const numbers = numbersOf(method, column);
      const quality = numbers === null ? { text: "–" } : {
        text: state.show === "gain" ? asGain(numbers.mean) : asMean(numbers.mean), sort: numbers.mean,
        small: bounds(numbers, measure().digits), fields: [numbers.mean, numbers.low ?? "", numbers.high ?? ""] };
      return { cells: [methodCell(method), quality, ...panels.map(({ values }) => costCell(values[method]))] };
    }),
  };
}

const costCell = (cost) => (cost === undefined ? { text: "not known", look: "none" }
  : { text: String(+cost.toPrecision(4)), sort: cost, fields: [cost] });

// Noise --------------------------------------------------------------------------------------------------------------

function noiseSeries() { // columns of one data set and one kind of noise, where there are several levels
  const series = new Map();
  for (const i of columnsOf(measure().protocol)) {
    const { dataset, track, kind } = content.columns[i];
    const name = [dataset, track, kind].filter(Boolean).join(" · ");
    series.set(name, [...(series.get(name) ?? []), i]);
  }
  return [...series].filter(([, columns]) => columns.length > 1);
}

function showNoise(width) {
  const chosen = chosenMethods(), series = noiseSeries();
  say(`${chosen.length} of ${content.methods.length} methods`);
  if (!series.length) return [make("p", { textContent: "No data set was measured at more than one noise level; "
    + "`run --noise 0,1,3,5` does so." })];
  return series.flatMap(([name, columns]) => {
    const curves = curvesOf(chosen, columns);
    if (!curves.length) return [];
    return [make("figure", {}, make("figcaption", { textContent: name }), drawNoisePlot(name, curves, width)),
      drawSheet(tableSheet(curves.map(({ method }) => method), columns)), ...explain(columns)];
  });
}

function curvesOf(methods, columns) {
  const sign = isBetterHigher() ? 1 : -1;
  const curves = methods.map((method) => ({ method, name: content.methods[method].name,
    points: columns.flatMap((column) => {
      const numbers = numbersOf(method, column);
      return numbers ? [{ sigma: content.columns[column].sigma, value: numbers.mean, ...numbers }] : [];
    }).sort((a, b) => a.sigma - b.sigma) })).filter(({ points }) => points.length > 1);
  const mean = ({ points }) => points.reduce((sum, { value }) => sum + value, 0) / points.length;
  curves.sort((a, b) => sign * (mean(b) - mean(a)));
  curves.forEach((curve, i) => { curve.colour = content.colours[i]; });
  return curves;
}

// Published ----------------------------------------------------------------------------------------------------------

const PRINTED = { psnr: "PSNR (dB)", ssim: "SSIM", lpips: "LPIPS", mae: "MAE" };

// Who stands for a printed model and was measured where it was; else nobody, or the one method asked for.
function measuredMethods(line, only) {
  const isMeasured = (method) => Object.keys(PRINTED).some((metric) => measuredCell(method, line, metric).sort !== undefined);
  const methods = only === undefined ? line.methods.filter(isMeasured) : [only];
  return methods.length ? methods : [null];
}

function publishedSheet(lines, caption, only) {
  const metrics = Object.keys(PRINTED);
  return {
    caption,
    columns: [{ key: "model", title: "Model", first: "ascending" }, { key: "data", title: "Data", first: "ascending" },
      { key: "source", title: "Printed by", first: "ascending" },
      ...metrics.map((metric) => ({ key: `published ${metric}`, title: PRINTED[metric], sub: "published", number: true,
        first: "descending" })),
      { key: "measured as", title: "Measured as" },
      ...metrics.map((metric) => ({ key: `measured ${metric}`, title: PRINTED[metric], sub: "measured", number: true,
        first: "descending" }))],
    lines: lines.flatMap((line) => measuredMethods(line, only).map((method) => ({ cells: [
      { text: [line.model, line.training].filter(Boolean).join(", "), sort: line.model },
      { text: [line.dataset, line.part, line.sigma ? `noise ${line.sigma}` : ""].filter(Boolean).join(" "),
        sort: line.dataset },
      { text: line.source, sort: line.source, title: content.sources[line.source] },
      ...metrics.map((metric) => printedCell(line.values[metric])),
      method === null ? { text: "not measured there", look: "none" } : methodCell(method),
      ...metrics.map((metric) => measuredCell(method, line, metric))] }))),
  };
}

function printedCell(values = []) {
  const texts = values.map(([value]) => value || "not read"), notes = values.map(([, note]) => note).filter(Boolean);
  if (!texts.length) return { text: "–", look: "none" };
  return { text: texts.join(" / "), sort: Number.parseFloat(texts[0]) || null, look: "printed", title: notes.join("; ") };
}

function measuredCell(method, line, metric) {
  const number = content.measures.findIndex((one) => one.metric === metric);
  const column = content.columns.findIndex((one) => one.dataset === line.dataset && one.sigma === line.sigma && !one.kind
    && one.protocol === content.measures[number]?.protocol);
  const score = method === null || line.part || column < 0 ? null : scoreOf(method, column, number);
  if (score?.mean === undefined) return { text: "–", look: "none" };
  return { text: asMean(score.mean, content.measures[number]), sort: score.mean };
}

function showPublished() {
  if (!content.printed.length) return [make("p", { textContent: "No number is printed of these methods and data sets." })];
  const hint = "Published numbers are copied from papers and their re-evaluations: sources measure differently, so they "
    + "compare neither with each other nor with ours. What a source says of itself is told where its name is pointed at.";
  const sources = Object.entries(content.sources).map(([name, text]) => make("li", { textContent: `${name}: ${text}` }));
  return [make("p", { className: "hint", textContent: hint }),
    drawSheet(publishedSheet(content.printed, "Published numbers beside measured ones")),
    make("ul", { className: "notes" }, ...sources)];
}

// A method -----------------------------------------------------------------------------------------------------------

function showMethod() {
  const method = content.methods.findIndex(({ name }) => name === state.method), { name, card } = content.methods[method];
  const facts = Object.entries(card).flatMap(([label, text]) => [make("dt", { textContent: label }),
    make("dd", { textContent: text })]);
  const back = make("button", { type: "button", className: "back", textContent: "‹ All methods", onclick: closeMethod });
  const own = content.results.filter((result) => result.method === method);
  const printed = content.printed.filter(({ methods }) => methods.includes(method));
  return [
    make("div", { className: "bar" }, back, make("h2", { tabIndex: -1, textContent: name })),
    section("Card", facts.length ? make("dl", { className: "card-facts" }, ...facts)
      : make("p", { textContent: "The results keep no card of this method." })),
    section("Control", make("p", { textContent: card["Printed numbers"]
      ?? "None: it has no imported weights, whose printed numbers could be measured again." })),
    ...protocolsOf(own).map((protocol) => section(`Results under ${protocol}`, drawSheet(resultSheet(method, protocol)))),
    section("Commands that made them", ...commandsOf(own)),
    ...(printed.length ? [section("Published numbers",
      drawSheet(publishedSheet(printed, `Published numbers of ${name} beside measured ones`, method)))] : []),
    section("Pictures", ...picturesOf(method)),
  ];
}

const section = (title, ...nodes) => make("section", {}, make("h3", { textContent: title }), ...nodes);
const closeMethod = () => go({ method: "", column: "", picture: "", by: "", way: "" }, true);
const protocolsOf = (results) => [...new Set(results.map(({ column }) => content.columns[column].protocol))];

function resultSheet(method, protocol) {
  const numbers = content.measures.flatMap((one, i) => (one.protocol === protocol ? [i] : []));
  const lead = measure().protocol === protocol ? measureNumber() : numbers[0];
  const columns = columnsOf(protocol).filter((column) => resultOf.has(`${method} ${column}`));
  return {
    caption: `Gain over the input in ${titleOf(content.measures[lead])}, and means`,
    columns: [{ key: "data", title: "Data" }, { key: "place", title: "#", number: true },
      { key: "gain", title: "Gain", number: true, fields: ["mean", "low", "high", "p"] },
      { key: "wins", title: "Wins", number: true },
      ...numbers.map((number) => ({ key: measureNames[number], title: titleOf(content.measures[number]),
        sub: content.measures[number].arrow, number: true, fields: ["mean", "low", "high", "n"] })),
      { key: "command", title: "Command", isButton: true }],
    lines: columns.map((column) => resultLine(method, column, lead, numbers)),
  };
}

function resultLine(method, column, lead, numbers) {
  const score = scoreOf(method, column, lead), { digits } = content.measures[lead], gain = score?.gain ?? null;
  const { commands } = resultOf.get(`${method} ${column}`);
  const texts = commands.map((place) => content.commands[place].text).filter(Boolean).join("\n");
  return { cells: [
    { text: columnNames[column] },
    { text: String(score?.rank ?? "–") },
    gain === null ? { text: "–", look: "none" } : { text: asGain(gain.mean, { digits }), small: bounds(gain, digits),
      fields: [gain.mean, gain.low ?? "", gain.high ?? "", gain.p ?? ""], look: `gain-cell ${wayOf(gain)}` },
    { text: gain === null ? "–" : `${gain.wins}/${gain.n}` },
    ...numbers.map((number) => meanCell(scoreOf(method, column, number), content.measures[number])),
    { text: texts, node: texts ? copyButton(texts, "Copy command") : make("span", { textContent: "not recorded" }) },
  ] };
}

function meanCell(score, card) {
  if (!score || score.mean === undefined) return { text: score?.note || "–", look: "none" };
  return { text: asMean(score.mean, card), small: bounds(score, card.digits), strong: score.mark === "best",
    fields: [score.mean, score.low ?? "", score.high ?? "", score.n] };
}

function commandsOf(results) {
  const places = [...new Set(results.flatMap(({ commands }) => commands))].sort((a, b) => a - b);
  if (!places.length) return [make("p", { textContent: "These results do not say by which command they were made." })];
  return places.map((place) => {
    const { text, suite, day } = content.commands[place];
    return make("div", { className: "command" }, make("pre", { tabIndex: 0, textContent: text || "not recorded" }),
      make("small", { textContent: [suite, day].filter(Boolean).join(", ") }), ...(text ? [copyButton(text)] : []));
  });
}

function picturesOf(method) {
  const columns = columnsOf(measure().protocol).filter((column) => scoreOf(method, column)?.pictures);
  if (!columns.length) return [make("p", { textContent: `No picture was scored in ${titleOf(measure())}.` })];
  const column = columns.find((one) => columnNames[one] === state.column) ?? columns[0];
  const choice = make("select", { onchange: (event) => go({ column: event.target.value, picture: "" }) },
    ...columns.map((one) => make("option", { value: columnNames[one], textContent: columnNames[one] })));
  choice.value = columnNames[column];
  return [make("label", { className: "bar" }, "Data ", choice), drawSheet(pictureSheet(method, column))];
}

function pictureSheet(method, column) {
  const { samples } = content.columns[column], card = measure();
  const input = content.methods.findIndex(({ name }) => name === "input");
  const own = scoreOf(method, column).pictures, others = scoreOf(input, column)?.pictures;
  const distance = (value) => (card.ideal === null ? value : Math.abs(value - card.ideal));
  const gains = samples.map((_, i) => (own[i] === null || !others || others[i] === null ? null
    : (card.higher ? 1 : -1) * (distance(own[i]) - distance(others[i]))));
  const scale = Math.max(0, ...gains.map((gain) => Math.abs(gain ?? 0)));
  return {
    caption: `${titleOf(card)} of every picture of ${columnNames[column]}`,
    columns: [{ key: "name", title: "Picture", first: "ascending" },
      { key: "score", title: content.methods[method].name, number: true, first: card.higher ? "descending" : "ascending",
        fields: ["score"] },
      { key: "input", title: "input", number: true, first: card.higher ? "descending" : "ascending", fields: ["score"] },
      ...(card.warning ? [] : [{ key: "difference", title: "Gain", number: true, first: "descending", fields: ["gain"] }])],
    lines: samples.map((sample, i) => ({ isCurrent: sample === state.picture, cells: [
      { text: sample, sort: sample, node: make("a", { href: hashOf({ picture: sample, column: columnNames[column] }),
        textContent: sample }) },
      pictureCell(own[i], asMean(own[i])), pictureCell(others?.[i] ?? null, asMean(others?.[i])),
      ...(card.warning ? [] : [{ ...pictureCell(gains[i], asGain(gains[i])), bar: gains[i] === null ? null
        : barOf(gains[i], scale), look: `gain-cell ${gains[i] > 0 ? "gains" : gains[i] < 0 ? "loses" : ""}` }])] })),
  };
}

const pictureCell = (value, text) => ({ text, sort: value, fields: [value ?? ""] });

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
  const either = (values, text = (value) => value) => [["", "any"], ...values.map((value) => [String(value), text(value)])];
  const { methods } = content;
  fill("measure", measureNames.map((name) => [name, name]), state.measure);
  fill("column", columnsOf(measure().protocol).map((column) => [columnNames[column], columnNames[column]]), state.column);
  fill("family", either(distinct(methods.map(({ family }) => family))), state.family);
  fill("inputs", either(distinct(methods.map(({ inputs }) => inputs)), (one) => ({ image: "the picture",
    views: "dual-pixel views" })[one] ?? one), state.inputs);
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
  for (const button of all("nav button")) button.ariaPressed = String(!state.method && button.dataset.view === state.view);
}

const say = (text) => { byId("count").textContent = text; };

function show() {
  const before = state.method, screen = byId("screen");
  const focused = document.activeElement?.closest("#screen thead button")?.textContent;
  state = readState();
  hideTip();
  fillControls();
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
