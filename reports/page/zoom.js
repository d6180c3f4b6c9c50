// Zoom: all pictures have one scale and one offset, in CSS pixels of the pane that shows them ---------------------

const zoom = { scale: 1, x: 0, y: 0, fitted: true, split: 50 };
let frame = { left: 0, top: 0, width: 1, height: 1 }; // what of its pane a picture takes

function panes() {
  const nodes = wayOf() === "grid" ? all(".tile") : layers.map((image) => image.parentElement);
  return (nodes.length ? nodes : [stage]).map((node) => node.getBoundingClientRect());
}

function sizeOf() { // of the pictures, which all have the same
  const pictures = wayOf() === "grid" ? all(".tile .picture") : layers;
  const image = pictures.find((one) => !one.hidden && one.naturalWidth);
  return image ? [image.naturalWidth, image.naturalHeight] : [1, 1];
}

function arrange(width, height) { // as many columns as let the pictures be largest
  const { clientWidth, clientHeight } = stage, count = grid.children.length;
  const scale = (columns) =>
    Math.min(clientWidth / columns / width, clientHeight / Math.ceil(count / columns) / height);
  let best = 1;
  for (let columns = 2; columns <= count; columns += 1) if (scale(columns) > scale(best)) best = columns;
  grid.style.gridTemplateColumns = `repeat(${best}, 1fr)`;
}

function place() {
  const [width, height] = sizeOf(), way = wayOf();
  if (way === "grid") arrange(width, height);
  const [pane] = panes(), least = Math.min(pane.width / width, pane.height / height);
  zoom.scale = zoom.fitted ? least : Math.min(32, Math.max(zoom.scale, Math.min(least, 1 / devicePixelRatio)));
  // A picture smaller than its pane is centred; a greater one leaves no gap.
  const within = (at, room, size) => (size < room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
  zoom.x = within(zoom.x, pane.width, width * zoom.scale);
  zoom.y = within(zoom.y, pane.height, height * zoom.scale);
  for (const one of all("#stage img")) {
    one.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
    one.classList.toggle("pixels", zoom.scale * devicePixelRatio >= 3);
  }
  byId("scale").textContent = `${Math.round(100 * zoom.scale * devicePixelRatio)} %`;
  layers.forEach((image, side) => {
    const visibility = way === "flicker" && side !== front ? "hidden" : "";
    image.parentElement.style.visibility = labels[side].style.visibility = visibility;
    labels[side].hidden = way === "grid";
  });
  stage.style.setProperty("--gain", byId("gain").value);
  byId("times").textContent = "×" + byId("gain").value;
  const extent = (at, room, size) => [Math.max(0, at), Math.min(room, at + size * zoom.scale) - Math.max(0, at)];
  const [left, inWidth] = extent(zoom.x, pane.width, width), [top, inHeight] = extent(zoom.y, pane.height, height);
  frame = { left, top, width: inWidth, height: inHeight };
  placeHandle();
}

function placeHandle() { // inside the picture, whose parts left and right of it are those of the two
  const at = frame.left + (frame.width * zoom.split) / 100;
  layers[1].parentElement.style.clipPath = wayOf() === "slider" ? `inset(0 0 0 ${at}px)` : "";
  Object.assign(handle.style, { left: `${at}px`, top: `${frame.top}px`, height: `${frame.height}px` });
  handle.ariaValueNow = String(Math.round(zoom.split));
  handle.ariaValueText = `${Math.round(zoom.split)} % ${nameOf(sides[0])}, then ${nameOf(sides[1])}`;
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
  sliding = event.target === handle || (zoom.fitted && wayOf() === "slider"); // nothing to move when fitted
  pointers.set(event.pointerId, event);
  stage.setPointerCapture(event.pointerId);
}

function drag(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const still = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
  pointers.set(event.pointerId, event);
  if (still) pinch(before, event, still);
  else if (sliding) slide((100 * (event.clientX - stage.getBoundingClientRect().left - frame.left)) / frame.width);
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
