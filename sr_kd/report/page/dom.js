"use strict";
// Building elements, numbers as text, and how series are told apart. Text is only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "plus", "ring", "bar"];
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2", "1 4", "6 2 1 2 1 2"];

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean" && !name.startsWith("aria-")) node.toggleAttribute(name, value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function choice(label, options, chosen, change) {
  const select = make("select", { onchange: () => change(select.value) },
    options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  return make("label", {}, label, select);
}

// A row of buttons of which one is pressed; arrow keys move between them.
function buttons(label, options, chosen, change) {
  const group = make("span", { class: "group", role: "radiogroup", "aria-label": label });
  const press = (value, focus) => {
    for (const button of group.children) {
      const on = button.dataset.value === value;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
      if (on && focus) button.focus();
    }
    change(value);
  };
  options.forEach(([value, text], index) => group.append(make("button", {
    type: "button", role: "radio", "data-value": value, "aria-checked": value === chosen, tabindex: value === chosen ? 0 : -1,
    onclick: () => press(value),
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      press(options[(index + step + options.length) % options.length][0], true);
    },
  }, text)));
  return group;
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (size !== 0 && (size < 10 ** -digits || size >= 1e6)) return short(value);
  return value.toFixed(digits);
}

function short(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  for (const [limit, letter] of [[1e9, " G"], [1e6, " M"], [1e4, " k"]]) {
    if (size >= limit) return Number((value / limit * (letter === " k" ? 10 : 1)).toPrecision(3)) + letter;
  }
  if (size !== 0 && size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.ceil(most / 2) - 1)}\u2026${text.slice(-Math.floor(most / 2))}` : text);

const signed = (value, digits) => (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + Math.abs(value).toFixed(digits);

// Color, shape and dash of the n-th series: no two of the first 64 share all three.
function look(index) {
  return { color: `var(--s${index % 8})`, shape: SHAPES[(index + Math.floor(index / 8)) % 8], dash: DASHES[(index + Math.floor(index / 8)) % 8] };
}

function marker(shape, x, y, r, color) {
  const style = `fill:${color};stroke:${color};stroke-width:2`;
  const at = (...points) => points.map(([dx, dy]) => `${x + dx * r},${y + dy * r}`).join(" ");
  if (shape === "square") return draw("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, style });
  if (shape === "triangle") return draw("polygon", { points: at([0, -1.2], [1.1, 0.9], [-1.1, 0.9]), style });
  if (shape === "diamond") return draw("polygon", { points: at([0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]), style });
  if (shape === "bar") return draw("rect", { x: x - r, y: y - r / 3, width: 2 * r, height: r / 1.5, style });
  if (shape === "ring") return draw("circle", { cx: x, cy: y, r, style: `fill:none;stroke:${color};stroke-width:2.5` });
  if (shape === "circle") return draw("circle", { cx: x, cy: y, r, style });
  const ends = shape === "plus" ? [[-1.2, 0, 1.2, 0], [0, -1.2, 0, 1.2]] : [[-1, -1, 1, 1], [-1, 1, 1, -1]];
  return draw("g", { style: `stroke:${color};stroke-width:3` },
    ends.map(([a, b, c, d]) => draw("line", { x1: x + a * r, y1: y + b * r, x2: x + c * r, y2: y + d * r })));
}

function sampleOf(style, withLine) {
  return draw("svg", { viewBox: "0 0 34 12", "aria-hidden": "true" },
    withLine ? draw("line", { x1: 0, x2: 34, y1: 6, y2: 6, style: `stroke:${style.color};stroke-width:2.5`, "stroke-dasharray": style.dash }) : null,
    withLine ? null : marker(style.shape, 17, 6, 4.5, style.color));
}
