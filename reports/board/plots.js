// Plots in SVG, drawn for the width at hand. A point is a link to its method, and says what it is where it is pointed at
// or focused.

const SVG = "http://www.w3.org/2000/svg";
const ROOM = { left: 54, right: 14, top: 12, bottom: 40 }; // around the axes, in px
const HEIGHT = 320;
const LETTER = 6.2; // width of a letter of a label, in px

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function ticksBetween(low, high, count = 5) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step); tick * step <= high + 1e-9 * step; tick += 1) ticks.push(tick * step);
  return ticks.map((value) => ({ value, text: String(+value.toPrecision(4)).replace("-", "−") }));
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    for (const factor of high / low > 300 ? [1] : [1, 2, 5]) ticks.push(factor * 10 ** power);
  return ticks.filter((value) => value >= low && value <= high)
    .map((value) => ({ value, text: String(+value.toPrecision(2)) }));
}

function linearScale(values, from, to, margin = 0.08) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const pad = margin * (high - low);
  [low, high] = [low - pad, high + pad];
  const place = (value) => from + ((value - low) / (high - low)) * (to - from);
  return { place, ticks: ticksBetween(low, high) };
}

function logScale(values, from, to) {
  const [low, high] = [Math.min(...values) / 1.6, Math.max(...values) * 1.6];
  const place = (value) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from);
  return { place, ticks: logTicks(low, high) };
}

function drawAxes(width, x, y, titles) {
  const bottom = HEIGHT - ROOM.bottom, right = width - ROOM.right, group = draw("g", { class: "axes" });
  for (const { value, text } of y.ticks) {
    const at = y.place(value);
    group.append(draw("line", { x1: ROOM.left, x2: right, y1: at, y2: at, class: value === 0 ? "zero" : "" }),
      draw("text", { x: ROOM.left - 6, y: at + 4, "text-anchor": "end" }, text));
  }
  for (const { value, text } of x.ticks) {
    const at = x.place(value);
    group.append(draw("line", { x1: at, x2: at, y1: bottom, y2: bottom + 4 }),
      draw("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, text));
  }
  group.append(draw("text", { x: (ROOM.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, titles.x),
    draw("text", { transform: `translate(13 ${(ROOM.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
      titles.y));
  return group;
}

// Points -------------------------------------------------------------------------------------------------------------

function drawPoint({ x, y, method, text, look, colour, low, high }) {
  const link = draw("a", { href: hashOf({ method: content.methods[method].name }), "aria-label": text,
    class: `point ${look ?? ""}` });
  if (low !== undefined) link.append(draw("line", { x1: x, x2: x, y1: low, y2: high, class: "interval" }));
  link.append(draw("circle", { cx: x, cy: y, r: 12, class: "reach" }), draw("circle", { cx: x, cy: y, r: 4.5 }));
  if (colour) link.style.color = colour;
  const say = () => showTip(text, link);
  for (const kind of ["pointerenter", "focus"]) link.addEventListener(kind, say);
  for (const kind of ["pointerleave", "blur"]) link.addEventListener(kind, hideTip);
  return link;
}

function showTip(text, node) {
  const tip = byId("tip"), box = node.lastElementChild.getBoundingClientRect();
  tip.textContent = text;
  tip.hidden = false;
  const left = Math.min(box.right + 8, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${Math.max(8, box.top - tip.offsetHeight - 6) + scrollY}px`;
}

function hideTip() {
  byId("tip").hidden = true;
}

// The texts of labels that have room beside their points; the others are told by hovering and in the table below.
function drawLabels(points, width) {
  const taken = points.map(({ x, y }) => [x - 5, y - 5, x + 5, y + 5]), nodes = [];
  const isFree = ([a, b, c, d]) => a > ROOM.left && c < width - 2 && b > 0 && d < HEIGHT - ROOM.bottom
    && !taken.some(([e, f, g, h]) => a < g && c > e && b < h && d > f);
  for (const { x, y, label, colour } of points) {
    const length = LETTER * label.length;
    const spots = [[x + 11, y - 7, "start"], [x - 11 - length, y - 7, "end"], [x - length / 2, y - 21, "middle"],
      [x - length / 2, y + 7, "middle"]];
    const spot = spots.find(([left, top]) => isFree([left, top, left + length, top + 14]));
    if (!spot) continue;
    const [left, top, side] = spot;
    taken.push([left, top, left + length, top + 14]);
    const at = { start: left, middle: left + length / 2, end: left + length }[side];
    const text = draw("text", { x: at, y: top + 11, "text-anchor": side, class: "name" }, label);
    if (colour) text.style.fill = colour;
    nodes.push(text);
  }
  return nodes;
}

const shorten = (name) => (name.length > 26 ? `${name.slice(0, 16)}…${name.slice(-9)}` : name);

// Quality against cost -----------------------------------------------------------------------------------------------

function findFront(points) { // what nothing of equal or lower cost equals or beats
  const front = [], sign = isBetterHigher() ? 1 : -1;
  for (const point of [...points].sort((a, b) => a.cost - b.cost || sign * (b.value - a.value)))
    if (!front.length || sign * point.value > sign * front.at(-1).value) front.push(point);
  return front;
}

const isBetterHigher = () => state.show === "gain" || measure().higher;

function drawCostPlot(panel, points, width) {
  const x = logScale(points.map(({ cost }) => cost), ROOM.left, width - ROOM.right);
  const y = linearScale([...points.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]),
    ...(state.show === "gain" ? [0] : [])], HEIGHT - ROOM.bottom, ROOM.top);
  const front = findFront(points.filter(({ method }) => !content.methods[method].ruler));
  const corners = front.flatMap(({ cost, value }, i) => [...(i ? [[cost, front[i - 1].value]] : []), [cost, value]]);
  const figure = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": panel.title },
    drawAxes(width, x, y, { x: panel.title, y: axisTitle() }));
  if (corners.length) {
    const ends = [...corners, [Math.max(...points.map(({ cost }) => cost)), corners.at(-1)[1]]];
    const path = ends.map(([cost, value]) => `${x.place(cost)} ${y.place(value)}`).join("L");
    figure.append(draw("path", { class: "front", d: `M${path}` }));
  }
  const placed = points.map((point) => placePoint(point, x, y, panel, front.includes(point)));
  figure.append(...placed.map(drawPoint));
  figure.append(...drawLabels([...placed].sort((a, b) => b.isFront - a.isFront), width));
  return figure;
}

function placePoint({ method, cost, value, low, high }, x, y, panel, isFront) {
  const { name, ruler, family } = content.methods[method], card = measure();
  const shown = state.show === "gain" ? asGain(value) : asMean(value);
  const interval = low === null ? "" : ` ${bounds({ low, high }, card.digits)}`;
  return { x: x.place(cost), y: y.place(value), method, label: shorten(name), isFront,
    low: low === null ? undefined : y.place(low), high: low === null ? undefined : y.place(high),
    look: `${family} ${ruler ? "ruler" : ""} ${isFront ? "on-front" : ""}`,
    text: `${name}: ${panel.title} ${+cost.toPrecision(3)}, ${axisTitle()} ${shown}${interval}` };
}

const axisTitle = () => (state.show === "gain" ? `gain in ${titleOf(measure())}` : titleOf(measure()));

// Against the noise level --------------------------------------------------------------------------------------------

function drawNoisePlot(title, curves, width) {
  const points = curves.flatMap(({ points: own }) => own);
  const names = curves.filter(({ colour }) => colour).map(({ name }) => shorten(name).length);
  const labels = Math.min(width * 0.3, 14 + LETTER * Math.max(0, ...names));
  const x = linearScale(points.map(({ sigma }) => sigma), ROOM.left, width - ROOM.right - labels, 0.04);
  const y = linearScale([...points.map(({ value }) => value), ...(state.show === "gain" ? [0] : [])],
    HEIGHT - ROOM.bottom, ROOM.top);
  x.ticks = [...new Set(points.map(({ sigma }) => sigma))].map((value) => ({ value, text: String(value) }));
  const figure = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": title },
    drawAxes(width, x, y, { x: "noise sigma (0-255 scale)", y: axisTitle() }));
  for (const curve of [...curves].reverse()) figure.append(drawCurve(curve, x, y));
  figure.append(...drawEnds(curves.filter(({ colour }) => colour), x, y));
  return figure;
}

function drawCurve({ name, method, colour, points }, x, y) {
  const path = "M" + points.map(({ sigma, value }) => `${x.place(sigma)} ${y.place(value)}`).join("L");
  const line = draw("path", { d: path, class: "curve" }), group = draw("g", { class: colour ? "" : "further" });
  if (colour) group.style.color = colour;
  group.append(line, ...points.map(({ sigma, value, low, high }) => drawPoint({ x: x.place(sigma), y: y.place(value),
    method, text: `${name}, noise ${sigma}: ${axisTitle()} ${state.show === "gain" ? asGain(value) : asMean(value)} `
      + bounds({ low, high }, measure().digits) })));
  return group;
}

function drawEnds(curves, x, y) { // names at the ends of their lines, apart from each other
  const ends = curves.map(({ name, colour, points }) => ({ name, colour, x: x.place(points.at(-1).sigma),
    y: y.place(points.at(-1).value) })).sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 13); });
  const over = ends.length ? Math.max(0, ends.at(-1).y - (HEIGHT - ROOM.bottom)) : 0;
  return ends.map(({ name, colour, x: at, y: height }) => {
    const text = draw("text", { x: at + 9, y: height - over + 4, class: "name" }, shorten(name));
    text.style.fill = colour;
    return text;
  });
}
