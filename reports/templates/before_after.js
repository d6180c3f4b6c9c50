"use strict";
{
  const byId = (id) => document.getElementById(id);
  const [stage, canvas, under, over, split, zoom] = ["stage", "canvas", "under", "over", "split", "zoom"].map(byId);
  const [picture, left, right, flicker] = ["picture", "left", "right", "flicker"].map(byId);
  let versions = []; // of the picture that is shown: the photograph itself, then what the methods made of it

  function showPicture() {
    versions = [...document.querySelectorAll(`#store [data-picture="${picture.value}"]`)];
    for (const [select, number] of [[left, 0], [right, 1]]) {
      const name = select.selectedOptions[0]?.text; // a method stays chosen from picture to picture
      select.replaceChildren(...versions.map((image, value) => new Option(image.dataset.name, value)));
      const same = versions.findIndex((image) => image.dataset.name === name);
      select.value = same < 0 ? Math.min(number, versions.length - 1) : same;
    }
    showSides();
  }

  async function showSides() {
    for (const [image, select] of [[under, left], [over, right]]) {
      image.src = versions[select.value].src;
      image.alt = versions[select.value].dataset.name;
      byId(`${select.id}-name`).value = image.alt;
    }
    await under.decode();
    resize();
  }

  function resize() {
    const density = window.devicePixelRatio;
    const width = under.naturalWidth / density, height = under.naturalHeight / density;
    const whole = Math.min((stage.clientWidth - 1) / width, (stage.clientHeight - 1) / height);
    const factor = +zoom.value || whole;
    canvas.style.width = `${width * factor}px`;
    canvas.style.height = `${height * factor}px`;
    canvas.classList.toggle("pixels", factor > 1);
  }

  function moveLine(share) {
    split.value = 1000 * share;
    canvas.style.setProperty("--split", `${split.value / 10}%`);
  }

  function followPointer(event) {
    const box = canvas.getBoundingClientRect();
    moveLine((event.clientX - box.left) / box.width);
  }

  function toggleFlicker() {
    const isOn = canvas.classList.toggle("one");
    flicker.setAttribute("aria-pressed", isOn);
    split.disabled = isOn;
    canvas.classList.remove("swapped");
    markSide();
  }

  function markSide() {
    const isOn = canvas.classList.contains("one"), isLeft = canvas.classList.contains("swapped");
    byId("left-name").classList.toggle("off", isOn && !isLeft);
    byId("right-name").classList.toggle("off", isOn && isLeft);
  }

  function swap() {
    if (canvas.classList.contains("one")) {
      canvas.classList.toggle("swapped");
      markSide();
    } else {
      [left.value, right.value] = [right.value, left.value];
      showSides();
    }
  }

  function step(select, by) {
    const count = select.options.length;
    select.selectedIndex = (select.selectedIndex + by + count) % count;
    select.dispatchEvent(new Event("change"));
  }

  const keys = {
    ArrowLeft: () => moveLine(split.value / 1000 - 0.02), ArrowRight: () => moveLine(split.value / 1000 + 0.02),
    f: toggleFlicker, " ": swap, n: () => step(picture, 1), p: () => step(picture, -1), z: () => step(zoom, 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input, a")) return;
    if (event.key === " " && event.target === flicker) return;
    const number = /^[1-9]$/.test(event.key) ? +event.key : 0;
    if (number && number < versions.length) {
      right.value = number;
      showSides();
    } else if (keys[event.key]) {
      keys[event.key]();
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (canvas.classList.contains("one")) return swap();
    canvas.setPointerCapture(event.pointerId);
    followPointer(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) followPointer(event);
  });
  split.addEventListener("input", () => moveLine(split.value / 1000));
  picture.addEventListener("change", showPicture);
  left.addEventListener("change", showSides);
  right.addEventListener("change", showSides);
  zoom.addEventListener("change", resize);
  flicker.addEventListener("click", toggleFlicker);
  window.addEventListener("resize", resize);
  moveLine(0.5);
  showPicture();
  stage.focus({ preventScroll: true });
}
