"use strict";
// What is shown follows from the hash of the page's address alone, by names, so that Back works and a view can be sent
// on. What the hash does not say has a default.

const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const content = JSON.parse(byId("content").textContent);

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const paragraph = (text, className = "") => make("p", { className, textContent: text });
const listOf = (texts) => make("ul", { className: "notes" }, ...texts.map((text) => make("li", { textContent: text })));

const measureNames = content.measures.map(({ protocol, title }) => `${protocol} ${title}`);
const columnNames = content.columns.map(nameColumn);
const resultOf = new Map(content.results.map((result) => [`${result.method} ${result.column}`, result]));
const defaults = { view: "table", method: "", column: "", picture: "", measure: measureNames[0], show: "gain",
  sort: "", order: "", by: "", way: "", find: "", family: "", inputs: "", trained: "", since: "", licence: "",
  rulers: "", published: "" };
// A method's page has an order of its own (by, way), so that the table keeps its.
const sortKeys = () => (state.method ? ["by", "way"] : ["sort", "order"]);
const filterKeys = ["find", "family", "inputs", "trained", "since", "licence", "rulers"];
let state = { ...defaults };

function nameColumn({ dataset, noise, protocol, track }) {
  const others = content.columns.filter((one) => one.dataset === dataset && one.protocol === protocol);
  const isAmbiguous = others.some((one) => one.track !== track);
  return `${dataset} · noise ${noise}` + (isAmbiguous ? ` · ${track}` : "");
}

function readState() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const read = Object.fromEntries(Object.entries(defaults).map(([key, value]) => [key, hash.get(key) ?? value]));
  if (!measureNames.includes(read.measure)) read.measure = defaults.measure;
  if (!content.methods.some(({ name }) => name === read.method)) read.method = "";
  if (!["table", "cost", "noise", "published"].includes(read.view)) read.view = defaults.view;
  if (read.show !== "mean" || measure(read).warning) read.show = measure(read).warning ? "mean" : "gain";
  return read;
}

function hashOf(changes) {
  const entries = Object.entries({ ...state, ...changes }).filter(([key, value]) => value !== defaults[key]);
  return "#" + new URLSearchParams(entries);
}

function go(changes, isOpening = false) {
  history[isOpening ? "pushState" : "replaceState"](null, "", hashOf(changes));
  show();
}

// What the state means -----------------------------------------------------------------------------------------------

const measureNumber = (of = state) => measureNames.indexOf(of.measure);
const measure = (of = state) => content.measures[measureNumber(of)];
const columnsOf = (protocol) => content.columns.flatMap((column, i) => (column.protocol === protocol ? [i] : []));
const resultAt = (method, column) => resultOf.get(`${method} ${column}`);
const scoreOf = (method, column, number = measureNumber()) => resultAt(method, column)?.scores[number] ?? null;

function numbersOf(method, column) { // what the view shows: {mean, low, high, n}, or null
  const score = scoreOf(method, column);
  if (!score || score.mean === undefined) return null;
  return state.show === "gain" ? score.gain : score;
}

function matches(method) {
  const { name, ruler, family, inputs, trained, year, licence } = method;
  return name.toLowerCase().includes(state.find.trim().toLowerCase())
    && (state.rulers || !ruler)
    && (!state.family || family === state.family)
    && (!state.inputs || inputs === state.inputs)
    && (!state.trained || trained.includes(state.trained))
    && (!state.since || (year !== null && year >= Number(state.since)))
    && (!state.licence || licence === state.licence);
}

const chosenMethods = () => content.methods.flatMap((method, i) => (matches(method) ? [i] : []));

// A name as nodes that may break after its punctuation.
const breakable = (name) => name.split(/(?<=[:,=.])/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

// Numbers as texts ---------------------------------------------------------------------------------------------------

function fixed(value, digits, sign = "") {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? "−" : sign) + text;
}

const asGain = (value, { digits } = measure()) => fixed(value, digits, "+");
const asMean = (value, { digits } = measure()) => fixed(value, digits);
const bounds = ({ low, high }, digits) => (low === null ? "" : `[${fixed(low, digits)}, ${fixed(high, digits)}]`);
const titleOf = ({ title, unit }) => title + (unit ? ` (${unit})` : "");
