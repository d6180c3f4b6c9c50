// Tables: one model for the screen, CSV and LaTeX, so that all three hold the same lines in the same order.
//
// A sheet has a caption, columns {key, title, sub, number, first, fields, isButton} and lines of cells {text, marks,
// small, sort, fields, strong, look, node, bar, printed, title}. `first` is the way a first click sorts; `fields` are
// columns of CSV, and their values. Columns of buttons are left out of LaTeX.

function sortSheet(sheet) {
  const [by, way] = sortKeys().map((one) => state[one]);
  const place = sheet.columns.findIndex(({ key, first }) => first && key === by);
  if (place < 0) return sheet;
  const sign = (way || sheet.columns[place].first) === "descending" ? -1 : 1;
  const key = (line) => line.cells[place].sort ?? null;
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null); // without a number: last either way
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  };
  return { ...sheet, lines: [...sheet.lines].sort((a, b) => compare(key(a), key(b))) };
}

function drawSheet(unsorted) {
  const sheet = sortSheet(unsorted);
  const heads = make("tr", {}, ...sheet.columns.map((column) => drawHead(column)));
  const lines = sheet.lines.map((line) => {
    const row = make("tr", { className: line.look ?? "" });
    if (line.isCurrent) row.ariaCurrent = "true";
    row.append(...line.cells.map((cell, i) => drawCell(cell, sheet.columns[i], i === 0)));
    return row;
  });
  const table = make("table", { ariaLabel: sheet.caption }, make("thead", {}, heads), make("tbody", {}, ...lines));
  const tools = make("div", { className: "bar tools" }, exportButton(sheet, "CSV", toCsv, "csv"),
    exportButton(sheet, "LaTeX", toLatex, "tex"));
  return make("section", { className: "sheet" }, make("p", { className: "about", textContent: sheet.caption }),
    make("div", { className: "scroll" }, table), tools);
}

function drawHead({ key, title, sub, number, first }) {
  const [by, order] = sortKeys();
  const texts = [...breakable(title), ...(sub ? [make("small", { textContent: sub })] : [])];
  const head = make("th", { scope: "col", className: number ? "number" : "" });
  if (!first) {
    head.append(...texts);
    return head;
  }
  const way = state[by] === key ? state[order] || first : null;
  if (way) head.ariaSort = way;
  const next = { ascending: "descending", descending: "ascending" }[way] ?? first;
  const sort = () => go({ [by]: key, [order]: next === first ? "" : next });
  head.append(make("button", { type: "button", onclick: sort }, ...texts));
  return head;
}

function drawCell(cell, column, isFirst) {
  const node = make(isFirst ? "th" : "td", { className: `${column.number ? "number" : ""} ${cell.look ?? ""}` });
  if (isFirst) node.scope = "row";
  node.append(...(cell.node ? [cell.node] : [make(cell.strong ? "strong" : "span", { textContent: cell.text })]));
  if (cell.small) node.append(make("small", { textContent: cell.small }));
  if (cell.bar) node.append(cell.bar);
  if (cell.printed) node.append(make("small", { className: "printed", textContent: cell.printed }));
  if (cell.title) node.title = cell.title;
  return node;
}

// Texts --------------------------------------------------------------------------------------------------------------

function toCsv(sheet) {
  const quote = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const heads = sheet.columns.flatMap(({ title, sub, fields }) => {
    const name = [title, sub].filter(Boolean).join(" ");
    return fields ? fields.map((field) => `${name}: ${field}`) : [name];
  });
  const values = (cell, { fields }) => (fields ? fields.map((_, i) => cell.fields?.[i] ?? "") : [cell.text]);
  const lines = sheet.lines.map(({ cells }) => cells.flatMap((cell, i) => values(cell, sheet.columns[i])));
  return [heads, ...lines].map((line) => line.map((value) => quote(String(value))).join(",") + "\n").join("");
}

function escapeLatex(text) {
  const escaped = [...text.replace(/\s+/g, " ")].map((char) => {
    if (Object.hasOwn(content.latex, char)) return content.latex[char];
    return /[ -~]/.test(char) ? char : "?";
  });
  return escaped.join("").replace(/-(?=-)/g, "-{}");
}

function toLatex(sheet) {
  const cellText = (cell) => {
    const text = escapeLatex([cell.text + (cell.marks ?? ""), cell.small].filter(Boolean).join(" "));
    return (cell.strong ? `\\textbf{${text}}` : text) + (cell.printed ? ` (${escapeLatex(cell.printed)})` : "");
  };
  const line = (texts) => {
    const joined = texts.join(" & ");
    return `${/^[[*]/.test(joined) ? "{}" : ""}${joined} \\\\\n`;
  };
  const places = [...sheet.columns.keys()].filter((i) => !sheet.columns[i].isButton);
  const pick = (items) => places.map((i) => items[i]);
  const sides = pick(sheet.columns).map(({ number }) => (number ? "r" : "l")).join("");
  const heads = pick(sheet.columns).map(({ title, sub }) => escapeLatex([title, sub].filter(Boolean).join(" ")));
  return `\\begin{table}\n\\centering\n\\small\n\\caption{${escapeLatex(sheet.caption)}}\n`
    + `\\begin{tabular}{${sides}}\n\\toprule\n${line(heads)}\\midrule\n`
    + sheet.lines.map(({ cells }) => line(pick(cells).map(cellText))).join("")
    + "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
}

function exportButton(sheet, title, format, ending) {
  const open = () => {
    const text = format(sheet), box = byId("export");
    box.querySelector("h2").textContent = `${title} of what is shown`;
    box.querySelector("textarea").value = text;
    byId("copied").textContent = "";
    URL.revokeObjectURL(byId("save").href);
    Object.assign(byId("save"), { href: URL.createObjectURL(new Blob([text])), download: `board.${ending}` });
    box.showPopover();
    byId("copy").focus();
  };
  return make("button", { type: "button", textContent: title, onclick: open });
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch { /* not every browser lets pages from disk do so; the older way follows */ }
  const box = make("textarea", { value: text, className: "offscreen" });
  (document.querySelector(":popover-open") ?? document.body).append(box);
  const before = document.activeElement;
  box.select();
  document.execCommand("copy");
  box.remove();
  before?.focus();
}

function copyButton(text, title = "Copy") {
  const button = make("button", { type: "button", textContent: title, className: "copy" });
  button.onclick = async () => {
    await copyText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = title; }, 1500);
  };
  return button;
}
