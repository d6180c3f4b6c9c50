// The views of all methods: table, cost, noise, published.

const NO_REASON = "not run";

// Overview -----------------------------------------------------------------------------------------------------------

function tableSheet(methods, columns) {
  const { digits } = measure();
  const isGain = state.show === "gain";
  const first = isGain || measure().higher ? "descending" : "ascending";
  const scales = columns.map((column) => Math.max(0, ...methods.map((method) => reachOf(numbersOf(method, column)))));
  const ranked = columns.find((column) => columnNames[column] === state.sort);
  return {
    caption: `${isGain ? "Gain over the input in" : "Mean"} ${axisHead()}, protocol ${measure().protocol}, with 95 % `
      + "intervals",
    columns: [
      { key: "method", title: "Method", first: "ascending" },
      ...(ranked === undefined ? [] : [{ key: "rank", title: "#", number: true }]),
      ...columns.map((column) => ({ ...splitName(column), number: true, first,
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

const axisHead = () => titleOf(measure()) + (state.show === "gain" ? "" : ` ${measure().arrow}`);

function splitName(column) { // into data set, and noise level below it
  const { dataset } = content.columns[column], key = columnNames[column];
  return { key, title: dataset, sub: key.slice(dataset.length + " · ".length) };
}

const reachOf = (numbers) => (numbers ? Math.abs(numbers.mean) : 0);

function methodCell(method) {
  const { name, family, ruler } = content.methods[method];
  const link = make("a", { href: hashOf({ method: name }) }, ...breakable(name));
  const marks = marksOf(method), kind = make("span", { className: "family", textContent: ruler ? "ruler" : family });
  return { text: name, marks, sort: name, node: make("span", {}, link, marks, " ", kind) };
}

// Symbols of a method that hold wherever it was measured; § depends on the data set, and stands at its numbers.
function marksOf(method) {
  const texts = content.results.filter((result) => result.method === method).map(({ marks }) => marks.replace("§", ""));
  return [...new Set(texts)].filter(Boolean).join(" ");
}

function numberCell(method, column, scale, digits) {
  const result = resultAt(method, column), score = scoreOf(method, column);
  const printed = state.published ? printedText(method, column) : "";
  const numbers = numbersOf(method, column);
  if (numbers === null) return { text: score?.mean === undefined ? "–" : asMean(score.mean), look: "none", printed,
    title: score?.note ?? (result ? "" : NO_REASON) }; // the input has a mean and no gain
  const { mean, low, high, n } = numbers;
  const text = (state.show === "gain" ? asGain(mean) : asMean(mean)) + (result.marks.includes("§") ? " §" : "");
  const cell = { text, sort: mean, small: bounds(numbers, digits), fields: [mean, low ?? "", high ?? "", n], printed,
    strong: score.mark === "best", title: tell(numbers, n) };
  if (state.show === "gain") Object.assign(cell, { look: wayOf(numbers), bar: barOf(mean, scale) });
  return cell;
}

const tell = ({ wins, p }, n) => (wins === undefined ? `n = ${n}` : `better on ${wins} of ${n}, p = ${p}`);

function wayOf({ low, high }) {
  if (low === null || (low <= 0 && high >= 0)) return "unclear";
  return low > 0 ? "gains" : "loses";
}

function barOf(mean, scale) {
  const length = scale ? (50 * Math.abs(mean)) / scale : 0;
  const frame = { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", class: "bar-of-gain" };
  const bar = draw("rect", { x: mean < 0 ? 50 - length : 50, y: 1, width: length, height: 4 });
  return draw("svg", frame, bar, draw("path", { d: "M50 0V6" }));
}

function printedText(method, column) {
  const { dataset, sigma, kind } = content.columns[column];
  const lines = content.printed.filter((line) => line.methods.includes(method) && line.dataset === dataset
    && line.sigma === sigma && !line.part && !kind);
  const values = lines.flatMap((line) => line.values[measure().metric] ?? []).map(([value]) => value).filter(Boolean);
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
  return [paragraph(`Without a number in this measure: ${names}.`, "hint")];
}

function explain(columns) {
  const legend = state.show === "gain"
    ? "A gain is positive where a method is better than the unprocessed input of the same scenes; blue and orange: "
      + "its interval leaves out 0. The row of the input has its mean. Bold: among the best, which no test tells apart."
    : "Bold: among the best, which no test tells apart.";
  const warning = measure().warning ? [paragraph(measure().warning, "hint")] : [];
  const places = [...new Set(columns.flatMap((column) => content.columns[column].notes))];
  const notes = make("details", {}, make("summary", { textContent: `Notes on these numbers (${places.length})` }),
    listOf(places.map((place) => content.notes[place])));
  return [...warning, paragraph(legend, "hint"), notes];
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
  if (!figures.length) return [paragraph("Of none of these methods a cost is known."), listOf(notes)];
  return [keyOfFamilies(), make("div", { className: "figures" }, ...figures),
    drawSheet(costSheet(panels, chosen, column)), listOf(notes)];
}

function keyOfFamilies() {
  const keys = ["learned", "classical", "baseline", "ruler"].map((family) =>
    make("span", { className: `key ${family}`, textContent: family }));
  return make("p", { className: "hint" }, ...keys, "Line and rings: the front, the best that can be had at a cost.");
}

function columnOfCosts(panels, methods, columns) { // the one asked for, else the first with the most points
  const asked = columns.find((one) => columnNames[one] === state.column);
  if (asked !== undefined) return asked;
  const counts = columns.map((column) => panels.flatMap((panel) => pointsOf(panel, methods, column)).length);
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
  const places = columnsOf(measure().protocol);
  for (const { dataset, track, kind } of places.map((place) => content.columns[place])) {
    const own = places.filter((place) => {
      const other = content.columns[place];
      return other.dataset === dataset && other.track === track && (other.kind === kind || other.sigma === 0);
    });
    series.set([dataset, track, kind].filter(Boolean).join(" · "), own);
  }
  return [...series].filter(([, columns]) => columns.length > 1);
}

function showNoise(width) {
  const chosen = chosenMethods(), series = noiseSeries();
  say(`${chosen.length} of ${content.methods.length} methods`);
  if (!series.length)
    return [paragraph("No data set was measured at more than one noise level; `run --noise 0,1,3,5` does so.")];
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

// Who stands for a printed model and was measured where it was; else nobody. `only` is a method to be limited to.
function measuredMethods(line, only) {
  const isMeasured = (method) =>
    Object.keys(PRINTED).some((metric) => measuredCell(method, line, metric).sort !== undefined);
  const methods = (only === undefined ? line.methods : [only]).filter(isMeasured);
  return methods.length ? methods : [null];
}

function publishedSheet(lines, caption, only) {
  const metrics = Object.keys(PRINTED);
  return {
    caption,
    columns: [
      ...["Model", "Data", "Printed by"].map((title) => ({ key: title, title, first: "ascending" })),
      ...metrics.map((metric) => printedColumn(metric, "published")),
      { key: "measured as", title: "Measured as" },
      ...metrics.map((metric) => printedColumn(metric, "measured"))],
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

const printedColumn = (metric, kind) => (
  { key: `${kind} ${metric}`, title: PRINTED[metric], sub: kind, number: true, first: "descending" });

function printedCell(values = []) {
  const texts = values.map(([value]) => value || "not read"), notes = values.map(([, note]) => note).filter(Boolean);
  if (!texts.length) return { text: "–", look: "none" };
  const sort = Number.parseFloat(texts[0]);
  return { text: texts.join(" / "), sort: Number.isNaN(sort) ? null : sort, look: "printed", title: notes.join("; ") };
}

function measuredCell(method, line, metric) {
  const number = content.measures.findIndex((one) => one.metric === metric);
  const column = content.columns.findIndex((one) => one.dataset === line.dataset && one.sigma === line.sigma
    && !one.kind && one.protocol === content.measures[number]?.protocol);
  const score = method === null || line.part || column < 0 ? null : scoreOf(method, column, number);
  if (score?.mean === undefined) return { text: "–", look: "none" };
  return { text: asMean(score.mean, content.measures[number]), sort: score.mean };
}

function showPublished() {
  if (!content.printed.length) return [paragraph("No number is printed of these methods and data sets.")];
  const hint = "Published numbers are copied from papers and their re-evaluations. Sources measure differently, so "
    + "they compare neither with each other nor with ours; what is known of a source stands below the table.";
  const sources = Object.entries(content.sources).map(([name, text]) => `${name}: ${text}`);
  return [paragraph(hint, "hint"), drawSheet(publishedSheet(content.printed, "Published numbers beside measured ones")),
    listOf(sources)];
}
