// The page of a method: card, control, results, commands, published numbers, pictures.

// A method -----------------------------------------------------------------------------------------------------------

function showMethod() {
  const method = content.methods.findIndex(({ name }) => name === state.method);
  const { name, card } = content.methods[method];
  const facts = Object.entries(card).flatMap(([label, text]) => [make("dt", { textContent: label }),
    make("dd", { textContent: text })]);
  const back = make("button", { type: "button", textContent: "‹ All methods", onclick: closeMethod });
  const own = content.results.filter((result) => result.method === method);
  const printed = content.printed.filter(({ methods }) => methods.includes(method));
  return [
    make("div", { className: "bar" }, back, make("h2", { tabIndex: -1, textContent: name })),
    section("Card", facts.length ? make("dl", { className: "card-facts" }, ...facts)
      : paragraph("The results keep no card of this method.")),
    section("Control", paragraph(card["Printed numbers"]
      ?? "None: it has no imported weights, whose printed numbers could be measured again.")),
    ...protocolsOf(own).map((protocol) =>
      section(`Results under ${protocol}`, drawSheet(resultSheet(method, protocol)))),
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
  const columns = columnsOf(protocol).filter((column) => resultAt(method, column));
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
  const commands = resultAt(method, column).commands.map((place) => content.commands[place].text);
  const texts = commands.filter(Boolean).join("\n");
  const known = gain && { text: asGain(gain.mean, { digits }), small: bounds(gain, digits), look: wayOf(gain),
    fields: [gain.mean, gain.low ?? "", gain.high ?? "", gain.p ?? ""] };
  return { cells: [
    { text: columnNames[column] },
    { text: String(score?.rank ?? "–") },
    known ?? { text: "–", look: "none" },
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
  if (!places.length) return [paragraph("These results do not say by which command they were made.")];
  return places.map((place) => {
    const { text, suite, day } = content.commands[place];
    return make("div", { className: "command" }, make("pre", { tabIndex: 0, textContent: text || "not recorded" }),
      make("small", { textContent: [suite, day].filter(Boolean).join(", ") }), ...(text ? [copyButton(text)] : []));
  });
}

function picturesOf(method) {
  const columns = columnsOf(measure().protocol).filter((column) => scoreOf(method, column)?.pictures);
  if (!columns.length) return [paragraph(`No picture was scored in ${titleOf(measure())}.`)];
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
  const better = card.higher ? "descending" : "ascending", isCompared = !card.warning && others && input !== method;
  const scale = Math.max(0, ...gains.map((gain) => Math.abs(gain ?? 0)));
  return {
    caption: `${titleOf(card)} of every picture of ${columnNames[column]}`,
    columns: [{ key: "name", title: "Picture", first: "ascending" },
      { key: "score", title: content.methods[method].name, number: true, first: better, fields: ["score"] },
      ...(isCompared ? [{ key: "input", title: "input", number: true, first: better, fields: ["score"] },
        { key: "difference", title: "Gain", number: true, first: "descending", fields: ["gain"] }] : [])],
    lines: samples.map((sample, i) => ({ isCurrent: sample === state.picture, cells: [
      pictureName(sample, column), pictureCell(own[i], asMean(own[i])),
      ...(isCompared ? [pictureCell(others[i], asMean(others[i])), gainCell(gains[i], scale)] : [])] })),
  };
}

function pictureName(sample, column) {
  const href = hashOf({ picture: sample, column: columnNames[column] });
  return { text: sample, sort: sample, node: make("a", { href, textContent: sample }) };
}

const pictureCell = (value, text) => ({ text, sort: value, fields: [value ?? ""] });

function gainCell(gain, scale) {
  const cell = pictureCell(gain, asGain(gain));
  if (gain === null) return cell;
  return { ...cell, bar: barOf(gain, scale), look: { 1: "gains", [-1]: "loses" }[Math.sign(gain)] };
}
