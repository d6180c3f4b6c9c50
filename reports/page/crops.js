// Crops: what is in sight of every picture, as PNG files of the picture's own pixels ------------------------------

const reader = byId("reader"), chosenFiles = new Map(); // files of the page that the user handed over, by their paths

function cropBox() { // in pixels of the picture
  const [pane] = panes(), [width, height] = sizeOf(), { scale } = zoom;
  const x = Math.floor(Math.max(0, -zoom.x / scale)), y = Math.floor(Math.max(0, -zoom.y / scale));
  const right = Math.min(width, Math.ceil((pane.width - zoom.x) / scale));
  const bottom = Math.min(height, Math.ceil((pane.height - zoom.y) / scale));
  return { x, y, width: right - x, height: bottom - y };
}

// What is saved: the name of each file, its picture, and the one that is taken from it.
function cropsInSight() {
  const { picture } = state, way = wayOf(), at = (row) => pathOf(row, picture);
  const chosen = [...new Set(way === "grid" ? tiles() : sides)].filter(hasPicture);
  if (way === "difference")
    return chosen.length < 2 ? []
      : [{ name: `difference-${chosen.map(nameOf).join("-")}`, path: at(chosen[1]), from: at(chosen[0]) }];
  const restored = chosen.filter((row) => row !== "t");
  if (showsError()) return restored.map((row) => ({ name: `error-${nameOf(row)}`, path: at(row), from: at("t") }));
  return chosen.map((row) => ({ name: nameOf(row), path: at(row), from: null }));
}

async function pixelsOf(path, { x, y, width, height }) {
  const file = chosenFiles.get(decodeURIComponent(path)), image = new Image();
  image.src = file ? await readFile(file) : located(path);
  await image.decode();
  const drawing = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  drawing.drawImage(image, x, y, width, height, 0, 0, width, height);
  return drawing.getImageData(0, 0, width, height); // refused for files beside a page that was opened from disk
}

const readFile = (file) => new Promise((resolve, reject) => {
  const content = new FileReader();
  content.onload = () => resolve(content.result);
  content.onerror = () => reject(content.error);
  content.readAsDataURL(file);
});

async function cropOf({ path, from }, box) {
  const crop = await pixelsOf(path, box);
  if (from === null) return crop;
  const other = await pixelsOf(from, box), gain = +byId("gain").value;
  crop.data.forEach((value, i) => { if (i % 4 < 3) crop.data[i] = gain * Math.abs(value - other.data[i]); });
  return crop;
}

async function saveCrops() {
  if (content.thumbnails) return; // which have none of the pictures' pixels
  const box = cropBox(), sample = gallery.samples[state.picture].name, crops = cropsInSight();
  const place = `${box.x}-${box.y}-${box.width}x${box.height}`;
  try {
    for (const crop of crops) {
      const pixels = await cropOf(crop, box);
      const canvas = make("canvas", { width: box.width, height: box.height });
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      const blob = await new Promise((resolve) => canvas.toBlob(resolve));
      const name = `${sample}-${crop.name}-${place}`.replace(/[^\p{L}\p{N}.=_-]+/gu, "-");
      const link = make("a", { href: URL.createObjectURL(blob), download: `${name}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    }
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    askForFiles(sample, box);
    return;
  }
  const count = `${crops.length} ${crops.length === 1 ? "crop" : "crops"}`;
  byId("told").textContent = `${count} of ${box.width} × ${box.height} pixels at ${box.x}, ${box.y}`;
}

function askForFiles(sample, { x, y, width, height }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  byId("command").textContent = `python -m benchmark figures RUN --figure crops --dataset ${quoted(gallery.dataset)} `
    + `--sample ${quoted(sample)} --box ${x},${y},${width},${height} --crops crops`;
  reader.showPopover();
  byId("folder").focus();
}

function takeFiles(files) {
  for (const file of files) chosenFiles.set(file.webkitRelativePath.split(content.folder).pop(), file);
  const missing = cropsInSight().some(({ path }) => !chosenFiles.has(decodeURIComponent(path)));
  reader.hidePopover();
  if (missing) byId("told").textContent = `the folder chosen is not ${content.folder.slice(0, -1)} of this page`;
  else saveCrops();
}
