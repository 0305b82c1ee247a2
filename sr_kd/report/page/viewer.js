"use strict";
// Looking at a sample: before/after slider, all versions side by side, or the difference of two. One zoom for all panes.

const RAMP = [[0, [0, 0, 4]], [0.25, [87, 16, 110]], [0.5, [188, 55, 84]], [0.75, [249, 142, 9]], [1, [252, 255, 164]]]; // inferno

function rampColor(share) {
  const after = RAMP.findIndex(([at]) => at >= share);
  if (after <= 0) return RAMP[0][1];
  const [[low, from], [high, to]] = [RAMP[after - 1], RAMP[after]];
  return from.map((value, index) => value + (share - low) / (high - low) * (to[index] - value));
}

// Pixels of an image at the size of HR; LR is repeated, so that its pixels stay visible.
function pixelsOf(image, [, , width, height]) {
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

// Difference of Y in levels, as an image: black is none, the brightest is `full` levels or more.
function differenceOf(first, second, box, full) {
  const [one, other] = [pixelsOf(first, box), pixelsOf(second, box)];
  const [, , width, height] = box;
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d");
  const result = context.createImageData(width, height);
  const colors = Array.from({ length: 256 }, (_, index) => rampColor(index / 255));
  let sum = 0;
  for (let at = 0; at < one.length; at += 4) {
    const change = Math.abs((65.481 * (one[at] - other[at]) + 128.553 * (one[at + 1] - other[at + 1]) + 24.966 * (one[at + 2] - other[at + 2])) / 255);
    sum += change;
    result.data.set([...colors[Math.min(255, Math.round(change / full * 255))], 255], at);
  }
  context.putImageData(result, 0, 0);
  return { canvas, mean: sum / (width * height) };
}

class Viewer {
  constructor(holder, samples, onchange) {
    this.samples = samples;
    this.onchange = onchange;
    this.images = new Map();
    this.mode = "slider";
    this.share = 0.5;
    this.full = 32;
    this.home();
    this.controls = make("div", { class: "controls" });
    this.stage = make("div", { class: "stage" });
    this.below = make("div", { class: "small muted" });
    this.caption = make("div", { class: "where small" });
    holder.append(this.controls, this.stage, this.below, this.caption);
    new ResizeObserver(() => this.paint()).observe(this.stage);
  }

  home() { this.view = { zoom: 1, x: 0.5, y: 0.5 }; }

  async show(sample, left, right) {
    const labels = sample.versions.map((version) => version.label);
    this.left = labels.includes(left) ? left : this.left;
    this.right = labels.includes(right) ? right : this.right;
    if (sample !== this.sample) this.home();
    this.sample = sample;
    const images = await Promise.all(sample.versions.map(async ({ label, source }) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      return [label, image];
    }));
    if (sample !== this.sample) return; // another was chosen meanwhile
    this.images = new Map(images);
    this.build();
  }

  build() {
    const labels = this.sample.versions.map((version) => version.label);
    const options = labels.map((label) => [label, label]);
    const names = this.samples.map((sample, index) => [String(index), `${sample.image} (${sample.test_set})`]);
    const set = (key) => (value) => { this[key] = value; this.build(); this.onchange?.(this); };
    const pair = this.mode === "all" ? [] : [choice(this.mode === "slider" ? "Left" : "First", options, this.left, set("left")), choice(this.mode === "slider" ? "Right" : "Second", options, this.right, set("right"))];
    this.controls.replaceChildren(
      choice("Image", names, String(this.samples.indexOf(this.sample)), (index) => this.show(this.samples[index]).then(() => this.onchange?.(this))),
      buttons("View", [["slider", "Slider"], ["all", "Side by side"], ["difference", "Difference"]], this.mode, (mode) => {
        this.mode = mode;
        this.build();
        this.controls.querySelector('[role="radio"][aria-checked="true"]').focus({ preventScroll: true });
      }),
      ...pair,
      make("span", { class: "group", role: "group", "aria-label": "Zoom" },
        make("button", { type: "button", "aria-label": "Zoom out", onclick: () => this.zoomBy(1 / 1.5) }, "\u2212"),
        make("button", { type: "button", "aria-label": "Zoom in", onclick: () => this.zoomBy(1.5) }, "+"),
        make("button", { type: "button", onclick: () => { this.home(); this.paint(); } }, "Whole crop")));
    const shown = { slider: [null], all: labels, difference: [this.left, this.right, "difference"] }[this.mode];
    this.stage.style.setProperty("--pane", this.mode === "slider" ? "100%" : "max(9.3rem, 30%)");
    this.panes = shown.map((label) => this.pane(label));
    this.stage.replaceChildren(...this.panes.map((pane) => pane.figure));
    this.difference = null;
    this.explain();
    this.paint();
  }

  pane(label) {
    const title = label === null ? `${this.left} and ${this.right}, before and after` : label === "difference" ? `|${this.left} \u2212 ${this.right}|` : label;
    const canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": `${this.sample.image}: ${title}. Arrow keys pan, plus and minus zoom.`, onkeydown: (event) => this.key(event) });
    this.gestures(canvas);
    const figure = make("figure", { class: "pane" }, canvas);
    const pane = { label, canvas, figure };
    if (label === null) {
      pane.divider = make("div", { class: "divider", role: "slider", tabindex: 0, "aria-label": `Divider between ${this.left} and ${this.right}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal" });
      const drag = (event) => {
        if (!pane.divider.hasPointerCapture(event.pointerId)) return;
        const place = canvas.getBoundingClientRect();
        this.divide((event.clientX - place.left) / place.width);
      };
      fill(pane.divider, {
        onpointerdown: (event) => pane.divider.setPointerCapture(event.pointerId), onpointermove: drag,
        onkeydown: (event) => {
          const to = { ArrowLeft: this.share - 0.02, ArrowDown: this.share - 0.02, ArrowRight: this.share + 0.02, ArrowUp: this.share + 0.02, PageDown: this.share - 0.1, PageUp: this.share + 0.1, Home: 0, End: 1 }[event.key];
          if (to === undefined) return this.key(event);
          event.preventDefault();
          this.divide(to);
        },
      }, []);
      figure.append(pane.divider, ...["left", "right"].map((side) => make("span", { class: `side ${side}` }, make("b", {}, this[side]), " ", this.scoreText(this[side]))));
    } else figure.append(make("figcaption", {}, make("span", {}, title), make("span", { class: "muted" }, this.scoreText(label))));
    return pane;
  }

  scoreText(label) { return this.scoreOf?.(this.sample, label) ?? ""; }

  divide(share) { this.share = Math.max(0, Math.min(1, share)); this.paint(); }

  zoomBy(factor, at = [0.5, 0.5]) {
    const before = this.view.zoom;
    this.view.zoom = Math.max(1, Math.min(16, before * factor));
    for (const [index, axis] of ["x", "y"].entries()) this.view[axis] += (at[index] - 0.5) * (1 / before - 1 / this.view.zoom);
    this.paint();
  }

  pan(dx, dy) { this.view.x -= dx / this.view.zoom; this.view.y -= dy / this.view.zoom; this.paint(); }

  key(event) {
    const steps = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (steps) this.pan(...steps);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") { this.home(); this.paint(); } else return;
    event.preventDefault();
  }

  gestures(canvas) {
    const fingers = new Map();
    let moved = 0;
    const where = (event) => { const place = canvas.getBoundingClientRect(); return [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height]; };
    const release = (event) => {
      if (fingers.delete(event.pointerId) && event.type === "pointerup" && moved < 0.01 && this.mode === "slider") this.divide(where(event)[0]);
    };
    fill(canvas, {
      onpointerdown: (event) => { if (!fingers.size) moved = 0; fingers.set(event.pointerId, where(event)); canvas.setPointerCapture(event.pointerId); },
      onpointermove: (event) => {
        const before = fingers.get(event.pointerId);
        if (!before) return;
        const now = where(event);
        const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        fingers.set(event.pointerId, now);
        moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
        if (others.length) {
          const gap = (place) => Math.hypot(place[0] - others[0][0], place[1] - others[0][1]) || 0.01;
          this.zoomBy(gap(now) / gap(before), [(now[0] + others[0][0]) / 2, (now[1] + others[0][1]) / 2]);
        } else if (this.view.zoom > 1) this.pan(now[0] - before[0], now[1] - before[1]);
      },
      onpointerup: release, onpointercancel: release,
      onwheel: (event) => {
        if (!event.ctrlKey && this.view.zoom === 1 && event.deltaY > 0) return; // the page scrolls
        if (!event.ctrlKey && document.activeElement !== canvas) return;
        event.preventDefault();
        this.zoomBy(Math.exp(-event.deltaY / 300), where(event));
      },
    }, []);
  }

  explain() {
    if (this.mode !== "difference") {
      this.below.replaceChildren(make("p", {}, this.mode === "slider" ? "Drag the divider, or click where it should stand. " : "", "Zoom with the buttons, + and \u2212, two fingers or Ctrl and the wheel; drag or use the arrow keys to pan. Pixels are shown as they are, without smoothing; LR pixels are enlarged."));
    } else {
      const bar = make("canvas", { width: 256, height: 1, role: "img", "aria-label": `Scale from 0 to ${this.full} levels` });
      const context = bar.getContext("2d");
      for (let x = 0; x < 256; x++) { context.fillStyle = `rgb(${rampColor(x / 255).map(Math.round)})`; context.fillRect(x, 0, 1, 1); }
      this.mean = make("p", {});
      this.below.replaceChildren(this.mean,
        make("div", { class: "scalebar" }, "0", bar, `${this.full} levels of 255 or more`),
        make("div", { class: "controls" }, choice("Brightest at", [4, 8, 16, 32, 64].map((level) => [String(level), `${level} levels`]), String(this.full), (level) => { this.full = Number(level); this.build(); })));
    }
    const { box, size, overview, image, test_set: set } = this.sample;
    const part = (value, whole) => `${100 * value / whole}%`;
    const whole = box[2] === size[0] && box[3] === size[1];
    this.caption.replaceChildren(
      make("div", {}, make("img", { src: overview, alt: `All of ${image}, with the crop marked` }),
        whole ? null : make("i", { style: `left:${part(box[0], size[0])};top:${part(box[1], size[1])};width:${part(box[2], size[0])};height:${part(box[3], size[1])}` })),
      make("p", {}, make("b", {}, image), ` of ${set}, ${size[0]}\u00d7${size[1]} pixels`, whole ? ", all of it." : `; shown is the ${box[2]}\u00d7${box[3]} crop at (${box[0]}, ${box[1]}) where the arms differ most.`));
  }

  paint() {
    if (!this.panes) return;
    const [, , width, height] = this.sample.box;
    const half = 0.5 / this.view.zoom;
    for (const axis of ["x", "y"]) this.view[axis] = Math.max(half, Math.min(1 - half, this.view[axis]));
    const density = window.devicePixelRatio || 1;
    const most = this.mode === "slider" ? Math.min(620, window.innerHeight * 0.75) : 420;
    for (const { label, canvas, divider } of this.panes) {
      const wide = Math.min(canvas.parentElement.clientWidth, most * width / height);
      canvas.style.width = `${wide}px`;
      canvas.classList.toggle("fits", this.view.zoom === 1);
      Object.assign(canvas, { width: Math.round(wide * density), height: Math.round(wide * density * height / width) });
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      const paste = (source, from, to) => {
        const own = [source.naturalWidth || source.width, source.naturalHeight || source.height];
        context.save();
        context.beginPath();
        context.rect(from * canvas.width, 0, (to - from) * canvas.width, canvas.height);
        context.clip();
        context.drawImage(source, (this.view.x - half) * own[0], (this.view.y - half) * own[1], 2 * half * own[0], 2 * half * own[1], 0, 0, canvas.width, canvas.height);
        context.restore();
      };
      if (label === null) {
        paste(this.images.get(this.left), 0, this.share);
        paste(this.images.get(this.right), this.share, 1);
        Object.assign(divider.style, { left: `${this.share * wide}px`, height: `${wide * height / width}px` });
        divider.setAttribute("aria-valuenow", Math.round(100 * this.share));
        divider.parentElement.querySelector(".side.right").style.right = `${canvas.parentElement.clientWidth - wide + 8}px`;
      } else if (label === "difference") {
        this.difference ??= differenceOf(this.images.get(this.left), this.images.get(this.right), this.sample.box, this.full);
        this.mean.textContent = `Absolute difference of luma (Y); its mean over the crop is ${this.difference.mean.toFixed(2)} levels.`;
        paste(this.difference.canvas, 0, 1);
      } else paste(this.images.get(label), 0, 1);
    }
  }
}
