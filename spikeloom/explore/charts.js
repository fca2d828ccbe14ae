// The charts: fronts, roofline, and the stages of a point. All that a chart shows is text of its own, never markup.
const COLOURS = ["#3f7fc1", "#d9822b", "#3a9d6e", "#a364b5", "#c94f4f", "#2a9fa8", "#8a7a2c", "#d16ba5", "#7d8590", "#6b6fd1"];
const GREY = "#7d8590";
const PAPER_WIDTH = 690;
const paper = matchMedia("print"), dark = matchMedia("(prefers-color-scheme: dark)"), touch = matchMedia("(pointer: coarse)");

const FIGURES = {
  fps: { title: "frames/s", more: true, log: true },
  latency_us: { title: "latency (µs)", log: true },
  luts: { title: "LUTs", log: true, device: "luts" },
  ff: { title: "flip-flops", log: true, device: "ff" },
  ebr: { title: "block RAMs", device: "ebr" },
  accuracy: { title: "accuracy", more: true, share: true },
  energy_nj: { title: "energy (nJ a frame)", log: true },
};

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size && size < 1) return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
  return value.toLocaleString("en-US", { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
}

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0.9995 ? 0 : 1)}\u00a0%`);
const figure = (key, value) => (FIGURES[key].share && value !== null ? `${(100 * value).toFixed(2)}\u00a0%` : number(value));
const groupOf = (point) => `${DATA.networks[point.network].name}, ${point.form}`;
const GROUPS = [...new Set(DATA.points.map(groupOf))];
const colourOf = (point) => COLOURS[GROUPS.indexOf(groupOf(point)) % COLOURS.length];

// Plotly takes tags in a text for markup: a network's name must not be any.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function folded(text, width = 46) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1).length + word.length > width) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines.map(plain).join("<br>");
}

function hover(point) {
  const accuracy = point.accuracy === null ? "" : `, accuracy ${percent(point.accuracy)}`;
  return [`<b>point ${point.id}</b>: ${plain(groupOf(point))}${point.skip ? ", skips zeros" : ""}`,
    `${number(point.fps)} frames/s, ${number(point.latency_us)} µs latency${accuracy}`,
    `${number(point.luts)} LUTs, ${number(point.ff)} flip-flops, ${number(point.ebr)} block RAMs`,
    folded(point.binds)].join("<br>");
}

function symbol(point) {
  const shape = point.synthesis ? "diamond" : point.source === "sampled" ? "triangle-up" : "circle";
  return point.front ? shape : `${shape}-open`;
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "soft", "line", "card", "page"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function draw(id, traces, layout, label) {
  const box = document.getElementById(id), look = theme();
  box.setAttribute("aria-label", label);
  const axis = { gridcolor: look.line, linecolor: look.soft, zeroline: false, automargin: true, ticks: "outside", tickcolor: look.line, tickangle: 0 };
  const spaced = (name) => layout[`${name}axis`].type === "log" && { dtick: step(decades(traces.flatMap((trace) => trace[name])), box.clientWidth) };
  const whole = {
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: look.ink },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    margin: { l: 56, r: 14, t: 30, b: 48 }, dragmode: touch.matches ? false : "zoom",
    hoverlabel: { bgcolor: look.card, bordercolor: look.soft, font: { color: look.ink, size: 12 }, align: "left" },
    ...layout,
    // With both margins automatic, plotly may move one to and fro as the other changes.
    xaxis: { ...axis, automargin: false, ...spaced("x"), ...layout.xaxis }, yaxis: { ...axis, ...spaced("y"), ...layout.yaxis },
    width: paper.matches ? PAPER_WIDTH : box.clientWidth,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: look.soft, activecolor: look.ink },
  };
  const fresh = !box.classList.contains("js-plotly-plot"), zooms = !layout.barmode;
  Plotly.react(box, traces, whole, {
    displaylogo: false, showSendToCloud: false, plotlyServerURL: "", displayModeBar: zooms && (touch.matches ? true : "hover"),
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
  if (!fresh) return;
  box.on("plotly_relayout", () => ticks(box));
  box.on("plotly_click", (event) => {
    const id = event.points[0]?.customdata;
    if (Number.isInteger(id)) select(id);
  });
}

// 1, 2, 5 on a logarithmic axis of so many decades, as long as a few of them are in sight.
const step = (decades, width) => (decades < (width < 500 ? 0.35 : 0.8) ? null : decades < 2 || width > 300 * decades ? "D2" : 1);

function decades(values) {
  const positive = values.filter((value) => value > 0);
  return positive.length ? 1.1 * Math.log10(Math.max(...positive) / Math.min(...positive)) : 0;
}

// After a zoom.
function ticks(box) {
  const changes = {};
  for (const axis of ["xaxis", "yaxis"]) {
    const { type, range } = box._fullLayout[axis];
    if (type !== "log") continue;
    const wanted = step(range[1] - range[0], box.clientWidth);
    if ((box.layout[axis].dtick ?? null) !== wanted) changes[`${axis}.dtick`] = wanted;
  }
  if (Object.keys(changes).length) Plotly.relayout(box, changes);
}

const clicked = { hovertemplate: "%{text}<extra></extra>" };

// A trace a colour, and what is synthesised above all others.
function markers(points, x, y) {
  const size = points.length > 100 ? 7 : 9;
  const layers = GROUPS.map((name) => points.filter((point) => !point.synthesis && groupOf(point) === name));
  return [...layers, points.filter((point) => point.synthesis)].filter((mine) => mine.length).map((mine) => ({
    ...clicked, type: "scatter", mode: "markers", cliponaxis: false,
    x: mine.map(x), y: mine.map(y), text: mine.map(hover), customdata: mine.map((p) => p.id),
    marker: { color: mine.map(colourOf), symbol: mine.map(symbol), size: mine.map((p) => (p.synthesis ? 12 : p.front ? size : size - 2)),
      opacity: mine.map((p) => (p.front || p.synthesis ? 1 : 0.6)), line: { width: 1.5, color: mine.map(colourOf) } },
  }));
}

// The mark around the selected point, the last trace of its chart.
const RINGS = {};

function ring(chart, points, x, y) {
  RINGS[chart] = () => {
    const mine = points.filter((point) => point.id === state.selected);
    return [mine.map(x), mine.map(y)];
  };
  const [xs, ys] = RINGS[chart]();
  return { type: "scatter", mode: "markers", hoverinfo: "skip", cliponaxis: false, x: xs, y: ys,
    marker: { size: 20, symbol: "circle-open", color: theme().ink, line: { width: 2.5 } } };
}

function moveRings() {
  for (const [chart, places] of Object.entries(RINGS)) {
    const box = document.getElementById(chart), [xs, ys] = places();
    Plotly.restyle(box, { x: [xs], y: [ys] }, [box.data.length - 1]);
  }
}

// The best of the two axes shown, for one colour: a staircase.
function staircase(points, xKey, yKey) {
  const xSign = FIGURES[xKey].more ? -1 : 1, ySign = FIGURES[yKey].more ? -1 : 1;
  const best = [];
  for (const point of [...points].sort((a, b) => xSign * (a[xKey] - b[xKey]) || ySign * (a[yKey] - b[yKey])))
    if (!best.length || ySign * (point[yKey] - best.at(-1)[yKey]) < 0) best.push(point);
  if (xSign < 0) best.reverse();
  const dash = points[0].form === "counts" ? "solid" : "dot";
  return { type: "scatter", mode: "lines", hoverinfo: "skip", x: best.map((p) => p[xKey]), y: best.map((p) => p[yKey]),
    line: { shape: xSign < 0 ? "vh" : "hv", width: 1.5, color: colourOf(points[0]), dash }, opacity: 0.7 };
}

function axisOf(key, log) {
  const format = FIGURES[key].share ? ".1%" : key === "luts" || key === "ff" || key === "fps" ? "~s" : ",~r";
  return { title: { text: FIGURES[key].title, standoff: 8 }, type: log ? "log" : "linear", tickformat: format, exponentformat: "none" };
}

// What a design may take of the device, where an axis shows it.
function limits(points, xKey, yKey, look) {
  const shapes = [], annotations = [];
  for (const [axis, key] of [["x", xKey], ["y", yKey]]) {
    const most = DATA.device?.budget[FIGURES[key].device];
    if (!most || most > 1.5 * Math.max(...points.map((p) => p[key]))) continue; // a line far off would press the points together
    const other = axis === "x" ? "y" : "x", log = state.log[axis];
    shapes.push({ type: "line", layer: "below", [`${axis}0`]: most, [`${axis}1`]: most, [`${other}0`]: 0, [`${other}1`]: 1,
      [`${axis}ref`]: axis, [`${other}ref`]: "paper", line: { color: look.soft, width: 1.5, dash: "dash" } });
    annotations.push({ [`${axis}ref`]: axis, [`${other}ref`]: "paper", [axis]: log ? Math.log10(most) : most, [other]: axis === "x" ? 0.02 : 0.98, showarrow: false,
      text: `room on ${plain(DATA.device.name)}`, font: { size: 11, color: look.soft }, textangle: axis === "x" ? -90 : 0, xanchor: "right", yanchor: "bottom" });
  }
  return { shapes, annotations };
}

function drawFront(points) {
  const { x, y } = state, usable = (key, log) => (p) => p[key] !== null && p[key] !== undefined && (!log || p[key] > 0);
  const shown = points.filter(usable(x, state.log.x)).filter(usable(y, state.log.y));
  const at = [(p) => p[x], (p) => p[y]];
  const lines = GROUPS.map((name) => shown.filter((p) => groupOf(p) === name)).filter((some) => some.length > 1).map((some) => staircase(some, x, y));
  draw("front-chart", [...lines, ...markers(shown, ...at), ring("front-chart", shown, ...at)], {
    height: innerWidth < 544 ? 330 : 430, uirevision: `${x} ${y} ${state.log.x} ${state.log.y}`, ...limits(shown, x, y, theme()),
    xaxis: axisOf(x, state.log.x), yaxis: axisOf(y, state.log.y),
  }, `Chart: ${FIGURES[y].title} against ${FIGURES[x].title} of ${shown.length} points; the table below has the same points`);
  const missing = points.length - shown.length;
  document.getElementById("front-missing").textContent = missing ? ` ${missing} more cannot be drawn on these axes.` : "";
}

function drawRoofline(points) {
  if (!DATA.roofline) return;
  const hertz = DATA.clock.mhz * 1e6, look = theme();
  const shown = points.filter((p) => p.operations_per_weight_bit > 0 && p.operations_per_cycle > 0);
  const x = (p) => p.operations_per_weight_bit, y = (p) => p.operations_per_cycle * hertz;
  const peak = DATA.roofline.operations_per_cycle * hertz, slope = DATA.roofline.weight_bits_per_cycle * hertz, ridge = peak / slope;
  const xs = [ridge, ...shown.map(x)], low = Math.min(...xs) / 4, high = Math.max(...xs) * 4;
  const roofs = { type: "scatter", mode: "lines", hoverinfo: "skip", x: [low, ridge, high], y: [low * slope, peak, peak], line: { color: look.ink, width: 2 } };
  const label = (text, at, height, more) => ({ x: Math.log10(at), y: Math.log10(height), text, showarrow: false, font: { size: 12, color: look.soft }, ...more });
  const bottom = Math.min(low * slope, ...shown.map(y)), range = (from, to) => [Math.log10(from), Math.log10(to)];
  draw("roofline-chart", [roofs, ...markers(shown, x, y), ring("roofline-chart", shown, x, y)], {
    height: 400, uirevision: "roofline",
    xaxis: { range: range(low, high), title: { text: "operations per weight bit read", standoff: 8 }, type: "log", tickformat: "~r", exponentformat: "none" },
    yaxis: { range: range(bottom / 1.6, peak * 2.5), title: { text: "operations a second", standoff: 8 }, type: "log", tickformat: "~s" },
    annotations: [label(`LUTs: ${number(DATA.roofline.operations_per_cycle)} operations a cycle`, high, peak, { xanchor: "right", yanchor: "bottom" }),
      label(`block RAMs:<br>${number(DATA.roofline.weight_bits_per_cycle)} bits a cycle`, Math.sqrt(low * ridge), Math.sqrt(low * ridge) * slope, { xanchor: "right", yanchor: "bottom", align: "right" })],
  }, `Chart: roofline of ${DATA.device?.name ?? "the device"} with ${shown.length} points`);
}

function drawStages(point) {
  const stages = point.stages, names = stages.map((s) => plain(s.name)), most = Math.max(...stages.map((s) => s.cycles));
  const bars = { type: "bar", orientation: "h", y: names, x: stages.map((s) => s.utilisation), text: stages.map((s) => percent(s.utilisation)), textposition: stages.map((s) => (s.utilisation > 0.2 ? "inside" : "outside")), textangle: 0, cliponaxis: false,
    insidetextfont: { color: "#fff" }, marker: { color: stages.map((s) => (s.cycles === most ? COLOURS[1] : COLOURS[0])) },
    customdata: stages.map((s) => `${plain(s.name)}: ${number(s.cycles)} cycles, fold ${plain(s.fold)}`), hovertemplate: "%{customdata}<extra></extra>" };
  draw("busy-chart", [bars], {
    height: 46 + 24 * stages.length, barmode: "group", bargap: 0.25, margin: { l: 40, r: 20, t: 10, b: 28 },
    xaxis: { fixedrange: true, range: [0, 1.02], tickformat: ".0%" }, yaxis: { fixedrange: true, autorange: "reversed", type: "category", ticks: "" },
  }, `Chart: utilisation of ${stages.length} stages of point ${point.id}, in the table of stages too`);
  drawArea(point);
}

// Shares of what the device gives, or without a device of the design's own total: one bar a resource with a part a
// stage, or of many stages one row a stage with a bar a resource.
function drawArea(point) {
  const rows = ["luts", "ff", "ebr"].filter((key) => point[key] > 0), parts = [...point.stages];
  const between = Object.fromEntries(["luts", "ff", "ebr"].map((key) => [key, point[key] - parts.reduce((sum, s) => sum + s[key], 0)]));
  if (rows.some((key) => between[key] > 0.5)) parts.push({ name: "between stages", ...between });
  const share = (part, key) => Math.max(0, part[key]) / (DATA.device?.budget[key] || point[key]), many = parts.length > 12;
  const about = (part, key) => `${plain(part.name)}: ${number(part[key])} ${FIGURES[key].title} (${percent(part[key] / point[key])} of the design)`;
  const total = (key) => `${FIGURES[key].title}<br>${number(point[key])}`, bar = { type: "bar", orientation: "h", hovertemplate: "%{customdata}<extra></extra>" };
  const stacked = () => parts.map((part, k) => ({
    ...bar, y: rows.map(total), x: rows.map((key) => share(part, key)), customdata: rows.map((key) => about(part, key)),
    text: rows.map(() => plain(part.name)), textposition: "inside", insidetextanchor: "middle", textangle: 0, insidetextfont: { color: "#fff" },
    marker: { color: k < point.stages.length ? COLOURS[k % COLOURS.length] : GREY, line: { color: theme().page, width: 1 } },
  }));
  const grouped = () => rows.map((key, k) => ({ ...bar, name: FIGURES[key].title, y: parts.map((part) => plain(part.name)),
    x: parts.map((part) => share(part, key)), customdata: parts.map((part) => about(part, key)), marker: { color: COLOURS[k] } }));
  draw("area-chart", many ? grouped() : stacked(), {
    height: many ? 76 + 34 * parts.length : 46 + 52 * rows.length, barmode: many ? "group" : "stack", bargap: 0.3, margin: { l: 70, r: 20, t: many ? 36 : 10, b: 28 },
    uniformtext: { minsize: 10, mode: "hide" }, showlegend: many, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal", itemclick: false, itemdoubleclick: false },
    xaxis: { fixedrange: true, tickformat: ".0%", rangemode: "tozero" }, yaxis: { fixedrange: true, autorange: "reversed", type: "category", ticks: "" },
  }, `Chart: LUTs, flip-flops and block RAMs of point ${point.id} by stage, in the table of stages too`);
}
