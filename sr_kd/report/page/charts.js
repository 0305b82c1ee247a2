"use strict";
// Three small SVG charts: points, lines, and intervals. Each is drawn for the width it has and redrawn when that changes.

const MARGIN = { left: 58, right: 14, top: 12, bottom: 42 };

function ticks(low, high, wanted) {
  const step = 10 ** Math.floor(Math.log10((high - low) / wanted));
  const size = step * [1, 2, 5, 10].find((factor) => (high - low) / (step * factor) <= wanted);
  const first = Math.ceil(low / size - 1e-9);
  return Array.from({ length: Math.floor(high / size + 1e-9) - first + 1 }, (_, index) => Number(((first + index) * size).toPrecision(12)));
}

// Value -> pixel. On a logarithmic axis, 0 stands at the left of everything else.
function scaleOf(values, from, to, logarithmic) {
  const known = values.filter((value) => Number.isFinite(value) && (!logarithmic || value > 0));
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [logarithmic ? 1 : 0, 1];
  const zero = logarithmic && values.some((value) => value === 0);
  if (logarithmic) [low, high] = [Math.log10(low), Math.log10(high)];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [low - room, high + room];
  if (zero) low -= (high - low) * 0.2;
  const at = (value) => from + ((logarithmic ? (value > 0 ? Math.log10(value) : low + room) : value) - low) / (high - low) * (to - from);
  const marks = logarithmic ? logMarks(low, high) : ticks(low, high, Math.max(3, Math.round(Math.abs(to - from) / (to < from ? 45 : 75))));
  return { at, ticks: zero ? [0, ...marks.filter((mark) => at(mark) - from > 30)] : marks, logarithmic };
}

function logMarks(low, high) {
  const marks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const factor of high - low > 2.5 ? [1] : high - low > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7]) {
      const value = Math.log10(factor) + power;
      if (value >= low && value <= high) marks.push(Number((factor * 10 ** power).toPrecision(3)));
    }
  }
  return marks;
}

function onWidth(holder, paint) {
  let drawn = 0;
  const observer = new ResizeObserver(() => {
    const width = holder.clientWidth;
    if (width && Math.abs(width - drawn) > 1) { drawn = width; paint(width); }
  });
  observer.observe(holder);
}

function frame(width, height, x, y, labels, description) {
  const bottom = height - MARGIN.bottom;
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": description },
    y.ticks.map((tick) => [
      draw("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.at(tick), y2: y.at(tick) }),
      draw("text", { x: MARGIN.left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, short(tick)),
    ]),
    x.ticks.map((tick) => draw("text", { x: x.at(tick), y: bottom + 17, "text-anchor": "middle" }, short(tick))),
    draw("line", { class: "axis grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
    draw("text", { class: "name", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, labels.x),
    draw("text", { class: "name", "text-anchor": "middle", transform: `translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)` }, labels.y));
}

function tipOf(holder) {
  const tip = make("div", { class: "tip", role: "status", hidden: true });
  holder.append(tip);
  return {
    show(x, y, title, lines) {
      tip.replaceChildren(make("b", {}, title), ...lines.flatMap((line) => [line, make("br")]).slice(0, -1));
      tip.hidden = false;
      const left = Math.min(Math.max(x + 12, 0), holder.clientWidth - tip.offsetWidth);
      const top = y - tip.offsetHeight - 12;
      tip.style.left = `${Math.max(0, left)}px`;
      tip.style.top = `${top < -40 ? y + 16 : top}px`;
    },
    hide() { tip.hidden = true; },
  };
}

// points: {label, x, y, low, high, style, lines}; every point can be reached with the tab key. references: {label, y}.
function pointChart(holder, points, references, labels, logarithmic) {
  holder.replaceChildren();
  onWidth(holder, (width) => {
    holder.replaceChildren();
    const tip = tipOf(holder);
    const height = Math.min(400, Math.max(280, width * 0.5));
    const x = scaleOf(points.map((point) => point.x), MARGIN.left, width - MARGIN.right, logarithmic);
    const y = scaleOf(points.flatMap((one) => [one.y, one.low ?? one.y, one.high ?? one.y]), height - MARGIN.bottom, MARGIN.top);
    const chart = frame(width, height, x, y, labels, `${labels.y} against ${labels.x}`);
    const inside = (level) => y.at(level) >= MARGIN.top && y.at(level) <= height - MARGIN.bottom;
    for (const { label, y: level } of references.filter((one) => inside(one.y))) {
      chart.append(draw("line", { class: "reference", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.at(level), y2: y.at(level) }),
        draw("text", { class: "name", x: MARGIN.left + 6, y: y.at(level) - 6 }, `${label}: ${short(level)}`));
    }
    const taken = [];
    for (const point of points) {
      const [px, py] = [x.at(point.x), y.at(point.y)];
      const show = () => tip.show(px, py, point.label, point.lines);
      if (point.low !== undefined) chart.append(draw("line", { x1: px, x2: px, y1: y.at(point.low), y2: y.at(point.high), style: `stroke:${point.style.color};stroke-width:2` }));
      chart.append(draw("g", { tabindex: 0, role: "img", "aria-label": [point.label, ...point.lines].join(", "), onfocus: show, onblur: tip.hide, onpointerenter: show, onpointerleave: tip.hide, onclick: show },
        draw("circle", { class: "hit", cx: px, cy: py, r: 16 }), marker(point.style.shape, px, py, 6, point.style.color)));
      const right = px < width * 0.6;
      const spot = [-1, 1, 3, -3].map((step) => ({ x: px, y: py + step * 8 + 4 })).find((one) => !taken.some((other) => Math.abs(other.x - one.x) < 130 && Math.abs(other.y - one.y) < 14));
      if (spot) {
        taken.push(spot);
        chart.append(draw("text", { class: "name", x: px + (right ? 11 : -11), y: spot.y, "text-anchor": right ? "start" : "end", "aria-hidden": "true" }, cut(point.label, 28)));
      }
    }
    holder.prepend(chart, ...references.filter((one) => !inside(one.y)).map(({ label, y: level }) => make("p", { class: "small muted" }, `Outside the chart: ${label}, ${short(level)}`)));
  });
}

function smoothed(values, weight) {
  let sum = 0, total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    return sum / total;
  });
}

// series: {label, x: [], y: [], style}; pointer, or left and right keys, move a cursor that tells every value there.
function lineChart(holder, series, labels, { logarithmic = false, smoothing = 0 } = {}) {
  holder.replaceChildren();
  const shown = series.map((one) => ({ ...one, smooth: smoothed(one.y, smoothing) }));
  const useful = logarithmic && shown.every((one) => one.y.some((value) => value > 0));
  onWidth(holder, (width) => {
    holder.replaceChildren();
    const tip = tipOf(holder);
    const height = 210;
    const all = shown.flatMap((one) => one.smooth);
    const x = scaleOf(shown.flatMap((one) => one.x), MARGIN.left, width - MARGIN.right);
    const y = scaleOf(useful ? all.filter((value) => value > 0) : all, height - MARGIN.bottom, MARGIN.top, useful);
    const last = shown.map((one) => `${one.label} ends at ${short(one.smooth.at(-1))}`).join(", ");
    const chart = frame(width, height, x, y, labels, `${labels.title}: ${last}`);
    const path = (one, values) => one.x.map((value, index) => [value, values[index]]).filter(([, value]) => value !== null && (!useful || value > 0))
      .map(([value, level], index) => `${index ? "L" : "M"}${x.at(value).toFixed(1)} ${Math.max(MARGIN.top, Math.min(height - MARGIN.bottom, y.at(level))).toFixed(1)}`).join("");
    for (const one of shown) {
      if (smoothing) chart.append(draw("path", { d: path(one, one.y), style: `fill:none;stroke:${one.style.color};stroke-width:1;opacity:.22` }));
      chart.append(draw("path", { d: path(one, one.smooth), "stroke-dasharray": one.style.dash, style: `fill:none;stroke:${one.style.color};stroke-width:2;stroke-linejoin:round` }));
      if (one.x.length < 3) one.x.forEach((value, index) => chart.append(marker(one.style.shape, x.at(value), y.at(one.smooth[index]), 4, one.style.color)));
    }
    const cursor = draw("line", { class: "axis grid", y1: MARGIN.top, y2: height - MARGIN.bottom, visibility: "hidden" });
    const steps = [...new Set(shown.flatMap((one) => one.x))].sort((a, b) => a - b);
    let place = steps.length - 1;
    const move = (to) => {
      place = Math.max(0, Math.min(steps.length - 1, to));
      const at = steps[place];
      cursor.setAttribute("x1", x.at(at)); cursor.setAttribute("x2", x.at(at)); cursor.setAttribute("visibility", "visible");
      const lines = shown.filter((one) => one.x[0] <= at && one.x.at(-1) >= at).map((one) => {
        const nearest = one.x.reduce((best, value, index) => (Math.abs(value - at) < Math.abs(one.x[best] - at) ? index : best), 0);
        return `${one.label}: ${short(one.smooth[nearest])}`;
      });
      tip.show(x.at(at), MARGIN.top + 60, `${labels.x} ${at}`, lines);
    };
    const hide = () => { tip.hide(); cursor.setAttribute("visibility", "hidden"); };
    const follow = (event) => {
      const where = (event.clientX - chart.getBoundingClientRect().left) / chart.getBoundingClientRect().width * width;
      move(steps.reduce((best, value, index) => (Math.abs(x.at(value) - where) < Math.abs(x.at(steps[best]) - where) ? index : best), 0));
    };
    fill(chart, { tabindex: 0, onpointermove: follow, onpointerdown: follow, onpointerleave: hide, onblur: hide, onfocus: () => chart.matches(":focus-visible") && move(place),
      onkeydown: (event) => {
        const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: steps.length - 1 }[event.key];
        if (to !== undefined) { event.preventDefault(); move(to); }
      } }, [cursor]);
    holder.prepend(chart);
  });
}

// rows: {label, mean, low, high, verdict, text}: one interval a line, zero marked.
function intervalChart(holder, rows, label) {
  onWidth(holder, (width) => {
    holder.replaceChildren();
    const left = Math.min(190, width * 0.38), height = 34 * rows.length + 44;
    const x = scaleOf([0, ...rows.flatMap((row) => [row.low, row.high])], left, width - MARGIN.right);
    const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": rows.map((row) => `${row.label}: ${row.text}`).join("; ") },
      x.ticks.map((tick) => [
        draw("line", { class: "grid", x1: x.at(tick), x2: x.at(tick), y1: 4, y2: height - 40 }),
        draw("text", { x: x.at(tick), y: height - 24, "text-anchor": "middle" }, short(tick)),
      ]),
      draw("line", { class: "axis", x1: x.at(0), x2: x.at(0), y1: 0, y2: height - 40, style: "stroke-width:2" }),
      draw("text", { class: "name", x: (left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, label));
    rows.forEach((row, index) => {
      const y = 22 + 34 * index, style = `stroke:var(--${row.verdict});stroke-width:3`;
      chart.append(draw("text", { class: "name", x: 0, y: y + 4 }, cut(row.label, Math.floor(left / 6.6))), draw("line", { x1: x.at(row.low), x2: x.at(row.high), y1: y, y2: y, style }),
        ...[row.low, row.high].map((end) => draw("line", { x1: x.at(end), x2: x.at(end), y1: y - 5, y2: y + 5, style })),
        marker(row.verdict === "level" ? "circle" : row.verdict === "better" ? "triangle" : "square", x.at(row.mean), y, 5, `var(--${row.verdict})`),
        draw("title", {}, row.text));
    });
    holder.prepend(chart);
  });
}
