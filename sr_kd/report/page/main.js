"use strict";
// Puts the page's parts together: tables that sort, charts, per-image scores, and the viewer.

const report = JSON.parse(document.getElementById("report-data").textContent);
const styles = new Map(report.models.map((model, index) => [model.label, look(index)]));

// ---- tables: a cell's data-value, or its text, decides the order
function sortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        const numbers = one !== "" && other !== "" && !isNaN(one) && !isNaN(other);
        if (!numbers && (one === "" || other === "")) return (one === "") - (other === "");
        const order = numbers ? one - other : one.localeCompare(other, undefined, { numeric: true });
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
document.querySelectorAll("table.sortable").forEach(sortable);

const metricOf = (key) => report.metrics.find((metric) => metric.key === key);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const unit = (metric) => (metric.unit ? ` ${metric.unit}` : "");
const kinds = report.sets.flatMap((set) => report.metrics.map((metric) => [JSON.stringify([set.name, metric.key]), `${metric.label}, ${set.name}`]));

// ---- intervals
const roleOf = (label) => report.models.find((model) => model.label === label)?.role;
const compared = report.comparisons.filter((one) => one.test_set === report.sets[0]?.name && one.metric === report.metrics[0]?.key);
const arms = compared.filter((one) => roleOf(one.model) !== "interpolation");
if (at("intervals")) {
  const metric = report.metrics[0];
  const sign = metric.higher_is_better ? 1 : -1;
  intervalChart(at("intervals"), arms.sort((a, b) => sign * (b.mean - a.mean)).map((one) => ({
    ...one, label: one.model,
    verdict: one.low * sign > 0 && one.high * sign > 0 ? "better" : one.low * sign < 0 && one.high * sign < 0 ? "worse" : "level",
    text: `${signed(one.mean, metric.digits)}${unit(metric)}, 95 % interval ${signed(one.low, metric.digits)} to ${signed(one.high, metric.digits)}`,
  })), `${metric.label} minus that of ${arms[0].baseline}${metric.unit ? `, ${metric.unit}` : ""}`);
}

// ---- quality against cost
function tradeoff() {
  const total = (model) => model.iterations.reduce((sum, count) => sum + count, 0) || null;
  const axes = {
    parameters: ["Parameters", (model) => model.parameters, true],
    multiply_adds: ["Multiply-adds for 1280\u00d7720", (model) => model.multiply_adds, true],
    training: ["Seconds of training, with the phases before", (model) => model.training_seconds, false],
    speed: [`Measured speed in megapixels a second (${report.device})`, (model) => model.speed, false],
    iterations: ["Training iterations, with those of the phases before", total, false],
  };
  const possible = Object.entries(axes).filter(([, [, of]]) => report.models.some((model) => of(model)));
  if (!possible.length) return;
  const distinct = ([, [, of]]) => new Set(report.models.map(of).filter((value) => value !== null && value !== undefined)).size;
  let axis = possible.reduce((best, one) => (distinct(one) > distinct(best) ? one : best))[0], kind = kinds[0][0];
  const holder = make("div", { class: "chart" }), absent = make("p", { class: "small muted" });
  const update = () => {
    const [title, of, logarithmic] = axes[axis];
    const [set, key] = JSON.parse(kind);
    const metric = metricOf(key);
    const references = [], missing = [];
    const points = report.models.flatMap((model) => {
      const score = report.scores.find((one) => one.model === model.label && one.test_set === set && one.metric === key);
      const x = of(model);
      if (!score || score.runs.some((run) => run === null)) return [];
      const y = mean(score.runs);
      if (model.role === "interpolation") references.push({ label: model.label, y });
      if (x === null || x === undefined) {
        if (model.role !== "interpolation") missing.push(model.label);
        return [];
      }
      const several = score.runs.length > 1;
      return [{ label: model.label, x, y, style: styles.get(model.label), low: several ? Math.min(...score.runs) : undefined, high: several ? Math.max(...score.runs) : undefined,
        lines: [`${metric.label} ${number(y, metric.digits)}${unit(metric)}${several ? ` (${score.runs.length} seeds, ${number(Math.min(...score.runs), metric.digits)} to ${number(Math.max(...score.runs), metric.digits)})` : ""}`,
          ...possible.map(([, [name, value]]) => `${name}: ${short(value(model))}`)] }];
    });
    pointChart(holder, points, references, { x: title, y: `${metric.label}${metric.unit ? ` in ${metric.unit}` : ""}` }, logarithmic && points.some((point) => point.x > 0));
    absent.textContent = missing.length ? `Not in the chart, because this was not measured: ${missing.join("; ")}.` : "";
  };
  at("tradeoff-chart").append(make("div", { class: "controls" },
    choice("Quality", kinds, kind, (value) => { kind = value; update(); }),
    choice("against", possible.map(([key, [name]]) => [key, name]), axis, (value) => { axis = value; update(); })), holder, absent);
  update();
}
if (at("tradeoff-chart")) tradeoff();

// ---- images: scores of every one, where two arms differ most on top, and the viewer
function images() {
  const viewer = report.samples.length ? new Viewer(at("viewer"), report.samples, () => update()) : null;
  const contenders = report.models.filter((model) => report.scores.some((score) => score.model === model.label && score.images.length));
  const role = (name) => contenders.find((model) => model.role === name)?.label;
  let kind = kinds[0][0];
  let second = report.comparisons[0]?.baseline ?? role("interpolation") ?? contenders[0]?.label;
  const ranked = compared.filter((one) => contenders.some((model) => model.label === one.model)).sort((a, b) => b.mean - a.mean);
  let first = ranked.find((one) => roleOf(one.model) === "distilled")?.model ?? ranked[0]?.model ?? contenders.at(-1)?.label;
  const table = at("per-image");
  const labels = contenders.map((model) => [model.label, model.label]);
  const scoreOf = (label, set, key) => report.scores.find((one) => one.model === label && one.test_set === set && one.metric === key);
  if (viewer) viewer.scoreOf = (sample, label) => {
    const [metric] = report.metrics;
    const value = scoreOf(label, sample.test_set, metric.key)?.images[report.sets.find((set) => set.name === sample.test_set).images.indexOf(sample.image)];
    return value === undefined ? "" : value === null ? "identical to HR" : `${number(value, metric.digits)}${unit(metric)}`;
  };
  const update = () => {
    const [name, key] = JSON.parse(kind);
    const set = report.sets.find((one) => one.name === name), metric = metricOf(key);
    const [one, other] = [first, second].map((label) => scoreOf(label, name, key)?.images ?? []);
    const rows = set.images.map((image, index) => ({ image, one: one[index] ?? null, other: other[index] ?? null }))
      .map((row) => ({ ...row, gap: row.one === null || row.other === null ? null : row.one - row.other }))
      .sort((a, b) => Math.abs(b.gap ?? 0) - Math.abs(a.gap ?? 0));
    const widest = Math.max(1e-9, ...rows.map((row) => Math.abs(row.gap ?? 0)));
    const body = rows.map((row) => {
      const sample = report.samples.find((candidate) => candidate.image === row.image && candidate.test_set === name);
      const open = () => viewer.show(sample, first, second).then(() => { update(); });
      const share = (row.gap ?? 0) / widest;
      return make("tr", { class: sample && sample === viewer?.sample ? "chosen" : null },
        make("th", { scope: "row", "data-value": row.image, class: row.image.length > 24 ? "long" : null }, sample ? make("button", { type: "button", "aria-current": sample === viewer?.sample ? "true" : null, onclick: open }, row.image) : row.image),
        make("td", { "data-value": row.gap ?? "" }, row.gap === null ? "-" : signed(row.gap, metric.digits),
          " ", draw("svg", { class: "bars", viewBox: "-1 -1 2 2", preserveAspectRatio: "none", "aria-hidden": "true" },
            draw("rect", { x: Math.min(0, share), y: -0.7, width: Math.abs(share), height: 1.4, style: `fill:var(--${(row.gap ?? 0) * (metric.higher_is_better ? 1 : -1) >= 0 ? "better" : "worse"})` }),
            draw("line", { x1: 0, x2: 0, y1: -1, y2: 1, style: "stroke:var(--muted);stroke-width:.03" }))),
        make("td", { "data-value": row.one ?? "" }, number(row.one, metric.digits)),
        make("td", { "data-value": row.other ?? "" }, number(row.other, metric.digits)));
    });
    table.replaceChildren(
      make("caption", { class: "hidden" }, `${metric.label} of every image of ${name}`),
      make("thead", {}, make("tr", {}, ...["image", "difference", first, second].map((head) => make("th", { scope: "col", class: head.length > 24 ? "long" : null }, head)))),
      make("tbody", {}, body));
    sortable(table);
  };
  at("image-controls").append(
    choice("", kinds, kind, (value) => { kind = value; update(); }),
    choice("of", labels, first, (value) => { first = value; update(); viewer?.show(viewer.sample, first, second); }),
    choice("minus", labels, second, (value) => { second = value; update(); viewer?.show(viewer.sample, first, second); }));
  at("image-controls").querySelector("select").setAttribute("aria-label", "Score and set");
  update();
  if (viewer) {
    const top = report.samples.find((sample) => sample.image === table.tBodies[0].rows[0].cells[0].textContent) ?? report.samples[0];
    viewer.left = first; viewer.right = second;
    viewer.show(top, first, second).then(update);
  }
}
if (at("per-image")) images();

// ---- training curves: one chart per logged value, all phases in it
function meanOf(curves) {
  const found = new Map();
  for (const curve of curves) curve.iterations.forEach((at, index) => found.set(at, [...(found.get(at) ?? []), curve.values[index]]));
  const x = [...found.keys()].sort((a, b) => a - b);
  return { x, y: x.map((at) => mean(found.get(at))) };
}

function training() {
  const groups = [["metrics", "Validation"], ["losses", "Losses"], ["gradient_ratio", "Gradient ratios"], ["diagnostics", "Diagnostics"], ["weighted", "Weighted losses"], ["weight", "Weights that follow a gradient ratio"], ["gradient", "Gradient"], ["learning_rate", "Learning rate"], ["report", "Teacher"]];
  const phases = [...new Set(report.curves.map((curve) => curve.phase))];
  const phaseStyle = new Map(phases.map((phase, index) => {
    const label = report.phases.find((one) => one.phase === phase)?.label ?? phase;
    return [phase, { label, style: styles.get(label) ?? look(report.models.length + index) }];
  }));
  const hidden = new Set();
  // a smoothed line lags behind: of few points it would tell something else than they do
  const many = report.curves.some((curve) => curve.key.startsWith("losses/") && curve.values.length > 20);
  let smoothing = many ? 0.6 : 0, logarithmic = false, apart = !report.finished;
  const found = groups.map(([prefix, title]) => [prefix, title, [...new Set(report.curves.map((curve) => curve.key).filter((key) => key.split("/")[0] === prefix))].sort()]).filter(([, , keys]) => keys.length);
  const drawn = (prefix) => report.curves.some((curve) => curve.key.startsWith(`${prefix}/`) && curve.values.length > 2);
  let group = (found.find(([prefix]) => drawn(prefix)) ?? found[0])[0]; // one validation makes no curve
  const charts = make("div", { class: "charts" });
  const update = () => {
    const keys = found.find(([prefix]) => prefix === group)[2];
    const exact = group === "metrics" || group === "learning_rate" || group === "report";
    smoother.hidden = exact;
    charts.replaceChildren(...keys.flatMap((key) => {
      const series = phases.filter((phase) => !hidden.has(phase)).flatMap((phase) => {
        const { label, style } = phaseStyle.get(phase);
        const seeds = report.curves.filter((curve) => curve.key === key && curve.phase === phase);
        if (seeds.length < 2 || apart) return seeds.map((curve) => ({ label: seeds.length > 1 ? `${label}, seed ${curve.seed}` : label, x: curve.iterations, y: curve.values, style }));
        return [{ label: `${label}, mean of ${seeds.length} seeds`, ...meanOf(seeds), style }];
      });
      if (!series.length) return [];
      const title = key.split("/").slice(key.includes("/") ? 1 : 0).join(" / ").replaceAll("_", " ");
      const holder = make("div", { class: "chart" });
      lineChart(holder, series, { x: "iteration", y: "", title }, { logarithmic, smoothing: exact ? 0 : smoothing });
      return [make("div", {}, make("h4", {}, title), holder)];
    }));
    if (!charts.children.length) charts.append(make("p", { class: "muted" }, "Every phase is hidden; press its name above to show it."));
  };
  const amount = make("output", {}, smoothing);
  const smoother = make("label", {}, "Smoothing", make("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: smoothing, oninput: (event) => { smoothing = Number(event.target.value); amount.textContent = smoothing; update(); } }), amount);
  at("curves").append(
    make("div", { class: "controls" },
      choice("Show", found.map(([prefix, title, keys]) => [prefix, `${title} (${keys.length})`]), group, (value) => { group = value; update(); }),
      smoother,
      make("label", {}, make("input", { type: "checkbox", onchange: (event) => { logarithmic = event.target.checked; update(); } }), "logarithmic"),
      new Set(report.curves.map((curve) => curve.seed)).size > 1 ? make("label", {}, make("input", { type: "checkbox", checked: apart, onchange: (event) => { apart = event.target.checked; update(); } }), "every seed") : null),
    make("div", { class: "legend", role: "group", "aria-label": "Phases to show" }, phases.map((phase) => {
      const { label, style } = phaseStyle.get(phase);
      const button = make("button", { type: "button", "aria-pressed": "true", onclick: () => {
        hidden.has(phase) ? hidden.delete(phase) : hidden.add(phase);
        button.setAttribute("aria-pressed", !hidden.has(phase));
        update();
      } }, sampleOf(style, true), label);
      return button;
    })), charts);
  update();
}
if (at("curves")) training();
