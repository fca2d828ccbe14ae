// State, filters, table and the details of a point. Texts go in as text, so a name can never be markup.
const $ = (id) => document.getElementById(id);
const BY_ID = new Map(DATA.points.map((point) => [point.id, point]));
const ROWS = 200;
const filters = $("filters"), axes = $("axes");
const state = { selected: null, sort: "fps", down: true, rows: ROWS, x: "", y: "", log: { x: true, y: true } };

const known = (key) => DATA.points.some((point) => point[key] !== null && point[key] !== undefined);
const AXES = [...new Set([...DATA.objectives, "fps", "luts"])].filter((key) => FIGURES[key] && known(key));

const COLUMNS = [
  { key: "id", title: "point" },
  { key: "network", title: "network", text: (p) => DATA.networks[p.network].name, left: true, name: "network" },
  { key: "form", title: "words carry", text: (p) => p.form + (p.skip ? ", zeros skipped" : ""), left: true },
  ...["fps", "latency_us"].map((key) => ({ key, title: FIGURES[key].title })),
  { key: "interval", title: "cycles a frame" },
  ...["luts", "ff", "ebr", "accuracy", "energy_nj"].map((key) => ({ key, title: FIGURES[key].title })),
  { key: "front", title: "on the front", text: (p) => (p.front ? "yes" : ""), name: "front-mark" },
  { key: "fits", title: "fits", text: (p) => (p.fits ? "yes" : "no"), hidden: !DATA.device },
  { key: "binds", title: "what limits its speed", text: (p) => p.binds, left: true, name: "binds" },
].filter((column) => !column.hidden && known(column.key));

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  node.append(...children);
  return node;
}

function passing() {
  const given = new FormData(filters), limit = (name) => (given.get(name) ? Number(given.get(name)) : null);
  const networks = given.getAll("network"), forms = given.getAll("form");
  const within = (value, low, high) => (low === null || (value ?? -Infinity) >= low) && (high === null || (value ?? Infinity) <= high);
  return DATA.points.filter((p) =>
    networks.includes(String(p.network)) && forms.includes(p.form) && (!given.get("skip") || String(p.skip) === given.get("skip")) &&
    (!given.has("front") || p.front) && (!given.has("fits") || p.fits) &&
    within(p.fps, limit("fps"), null) && within(p.luts, null, limit("luts")) && within(p.ebr, null, limit("ebr")) &&
    within(p.latency_us, null, limit("latency_us")) && within(p.accuracy, limit("accuracy") === null ? null : limit("accuracy") / 100, null));
}

function sorted(points) {
  const { text } = COLUMNS.find((column) => column.key === state.sort), sign = state.down ? -1 : 1;
  const value = (p) => (text && typeof p[state.sort] !== "boolean" ? text(p) : p[state.sort]);
  return [...points].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.id - b.id;
  });
}

const style = ({ left, name }) => [left ? "left" : "", name ?? ""].join(" ").trim() || null;

function head() {
  $("points-head").replaceChildren(...COLUMNS.map((column) => {
    const { key, title } = column, mine = state.sort === key, sort = () => {
      state.down = state.sort === key ? !state.down : !["id", "network", "form", "binds"].includes(key);
      state.sort = key;
      refresh();
      $("points-head").querySelector(`[data-key=${key}]`).focus();
    };
    const arrow = mine ? (state.down ? " ▼" : " ▲") : "";
    return make("th", { scope: "col", class: style(column), "aria-sort": mine && (state.down ? "descending" : "ascending") },
      make("button", { type: "button", "data-key": key, onclick: sort }, title + arrow));
  }));
}

function row(point) {
  const cells = COLUMNS.map((column) => {
    const { key, text } = column;
    if (key !== "id") return make("td", { class: style(column) }, text ? text(point) : figureOf(key, point[key]));
    return make("td", {}, make("button", { type: "button", class: "pick", "aria-label": `show point ${point.id}` }, String(point.id)));
  });
  const line = make("tr", { class: point.front ? "front" : "other", "data-id": point.id, onclick: () => select(point.id, true) }, ...cells);
  mark(line, point.id === state.selected);
  return line;
}

function mark(line, chosen) {
  line.classList.toggle("selected", chosen);
  line.querySelector(".pick").setAttribute("aria-pressed", String(chosen));
}

const figureOf = (key, value) => (FIGURES[key] ? figure(key, value) : number(value));

function refresh() {
  const points = passing(), rows = sorted(points);
  head();
  $("points-body").replaceChildren(...rows.slice(0, paper.matches ? rows.length : state.rows).map(row));
  const fronts = points.filter((p) => p.front).length;
  $("active").textContent = points.length < DATA.points.length ? `: ${number(points.length)} of ${number(DATA.points.length)} pass` : "";
  $("count").textContent = `${number(points.length)} of ${number(DATA.points.length)} points pass the filters, ${number(fronts)} of them on the front.`;
  $("more").hidden = rows.length <= state.rows;
  $("more").textContent = `Show ${number(Math.min(ROWS, rows.length - state.rows))} more rows`;
  drawFront(points);
  drawRoofline(points);
  shadows();
}

function select(id, fromTable = false) {
  if (!BY_ID.has(id)) return;
  state.selected = id;
  history.replaceState(null, "", `#point=${id}`);
  details(BY_ID.get(id));
  for (const line of $("points-body").children) mark(line, Number(line.dataset.id) === id);
  moveRings();
  if (fromTable) $("points-body").querySelector(`[data-id="${id}"] .pick`)?.focus({ preventScroll: true });
  const top = $("details").getBoundingClientRect().top;
  if (fromTable && (top < 0 || top > 0.8 * innerHeight)) $("details").scrollIntoView({ block: "start" });
}

function details(point) {
  const network = DATA.networks[point.network], card = (value, name) => make("div", { class: "card" }, make("b", {}, value), make("span", {}, name));
  $("point-name").textContent = `Point ${point.id}: ${network.name}, ${point.form}${point.skip ? ", skips zeros" : ""}`;
  $("point-tags").textContent = [point.front ? "on the front" : "not on the front", `${point.source} search`,
    ...(DATA.device ? [`${point.fits ? "fits" : "does not fit"} ${DATA.device.name}`] : [])].join(" · ");
  $("point-cards").replaceChildren(...["fps", "latency_us", "luts", "ff", "ebr", "accuracy", "energy_nj"]
    .filter((key) => point[key] !== null).map((key) => card(figure(key, point[key]), FIGURES[key].title)));
  $("point-binds").textContent = point.binds;
  $("point-cycles").textContent = `A frame every ${number(point.interval)} cycles, the first after ${number(point.latency)}; at ${number(DATA.clock.mhz)} MHz (${DATA.clock.from}).`;
  $("point-build").textContent = point.build;
  $("point-file").hidden = !point.fold_file;
  $("point-fold").textContent = $("point-fold").href = point.fold_file ?? "";
  $("stages-name").textContent = `point ${point.id}`;
  synthesis(point);
  $("stages-body").replaceChildren(...point.stages.map((s) => make("tr", {},
    make("td", {}, s.name), make("td", {}, s.fold), ...["cycles", "utilisation", "luts", "ff", "ebr", "operations", "weight_bits"].map((key) =>
      make("td", {}, key === "utilisation" ? percent(s[key]) : number(s[key]))))));
  drawStages(point);
}

function synthesis(point) {
  const s = point.synthesis, table = $("point-synthesis");
  table.hidden = !s;
  if (!s) return table.replaceChildren();
  const off = (model, real) => (real ? `${model >= real ? "+" : ""}${(100 * (model / real - 1)).toFixed(1)} %` : "");
  const rows = [["LUTs", point.luts, s.lut4_eq + DATA.lut_ram_luts * s.lut_ram], ["flip-flops", point.ff, s.ff], ["block RAMs", point.ebr, s.ebr]];
  table.replaceChildren(make("caption", {}, `The model beside the synthesis${s.mhz ? `, which runs at ${number(s.mhz)} MHz` : ""}`),
    make("tr", {}, ...["", "model", "synthesis", "model is off by"].map((t) => make("th", { scope: "col" }, t))),
    ...rows.map(([name, model, real]) => make("tr", {}, make("td", {}, name), make("td", {}, number(model)), make("td", {}, number(real)), make("td", {}, off(model, real)))));
  return table;
}

async function copy(button) {
  const source = $(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  button.textContent = "copied";
  setTimeout(() => (button.textContent = "copy"), 1500);
}

function choices() {
  for (const axis of ["x", "y"]) {
    axes.elements[axis].replaceChildren(...AXES.map((key) => make("option", { value: key }, FIGURES[key].title)));
    axes.elements[axis].value = state[axis];
    axes.elements[`log-${axis}`].checked = state.log[axis];
  }
}

const SHAPES = {
  exact: ["circle", "exact search", "M7 2a5 5 0 1 0 .01 0z"],
  sampled: ["triangle-up", "sampled", "M7 2l5.5 10h-11z"],
  synthesised: ["diamond", "synthesised", "M7 0l6 7-6 7-6-7z"],
};

// What colours and symbols mean, as far as they occur.
function key() {
  const svg = (path, fill, stroke) => {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(picture.namespaceURI, "path");
    for (const [name, value] of Object.entries({ d: path, fill, stroke, "stroke-width": 1.5 })) line.setAttribute(name, value);
    picture.setAttribute("aria-hidden", "true");
    picture.append(line);
    return picture;
  };
  const groups = GROUPS.map((name) => make("span", {}, svg("M1 3h12v8H1z", colourOf(DATA.points.find((p) => groupOf(p) === name)), "none"), name));
  const symbols = new Set(DATA.points.map(symbol));
  const shapes = Object.values(SHAPES).filter(([shape]) => symbols.has(shape) || symbols.has(`${shape}-open`))
    .map(([, name, path]) => make("span", {}, svg(path, "none", "currentColor"), name));
  $("key").replaceChildren(...groups, ...shapes);
}

// The point to begin with: the one that the exploration calls the best; else, of those that fit, on the front, of the best
// accuracy, the one with the most frames a second for its LUTs.
function first() {
  if (DATA.best !== undefined && DATA.best !== null) return DATA.best;
  const rank = (p) => [p.fits, p.front, p.accuracy ?? 0, p.fps / Math.max(1, p.luts)].map(Number);
  return DATA.points.reduce((best, p) => {
    const [a, b] = [rank(p), rank(best)], k = a.findIndex((value, i) => value !== b[i]);
    return k >= 0 && a[k] > b[k] ? p : best;
  }).id;
}

// Once, when nothing has asked for it for a while.
function later(action) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(action, 150); };
}

const fromHash = () => Number(/^#point=(\d+)$/.exec(location.hash)?.[1] ?? NaN);

// A region whose table is wider than it shows a shadow where more of it is.
function shadows() {
  for (const box of document.querySelectorAll(".wide")) {
    const more = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle("more-right", more > 2);
    box.classList.toggle("more-left", box.scrollLeft > 2);
  }
}

function start() {
  for (const box of document.querySelectorAll(".wide")) box.addEventListener("scroll", shadows, { passive: true });
  [state.x, state.y] = ["luts", "fps"].every((key) => AXES.includes(key)) ? ["luts", "fps"] : [AXES[0], AXES.at(-1)];
  for (const axis of ["x", "y"]) state.log[axis] = Boolean(FIGURES[state[axis]].log);
  choices();
  key();
  axes.addEventListener("change", ({ target }) => {
    if (target.name.startsWith("log-")) state.log[target.name.slice(4)] = target.checked;
    else [state[target.name], state.log[target.name]] = [target.value, Boolean(FIGURES[target.value].log)];
    choices();
    drawFront(passing());
  });
  const fresh = () => { state.rows = ROWS; refresh(); };
  filters.addEventListener("input", DATA.points.length > 500 ? later(fresh) : fresh);
  filters.addEventListener("reset", () => setTimeout(refresh));
  filters.addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", () => { state.rows += ROWS; refresh(); });
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
  addEventListener("hashchange", () => select(fromHash()));
  const redraw = () => { refresh(); drawStages(BY_ID.get(state.selected)); };
  addEventListener("resize", later(redraw));
  for (const media of [dark, paper]) media.addEventListener("change", redraw);
  const wanted = fromHash();
  state.selected = BY_ID.has(wanted) ? wanted : first();
  details(BY_ID.get(state.selected));
  refresh();
}

start();
