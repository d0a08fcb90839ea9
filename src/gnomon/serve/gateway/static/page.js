// The page: what is asked stands in the address, what is answered comes from the gateway, and nothing comes from elsewhere.

import { BANDS, Chart } from "./chart.js";
import { ago, decimalsOf, local, percent, price, signed, span, stamp } from "./words.js";

const HISTORY_BARS = 120;
const REFRESH_MS = 60_000;
const NAIVE = "ewma";
const CLASSES = { crypto: "Crypto", fx_commodity: "Currencies and commodities", equity: "Shares and funds" };
const VERDICT_MARKS = { beats: "▲", beaten: "▼", tie: "≈", too_early: "○", reference: "◆", no_figure: "–" };

const $ = (id) => document.getElementById(id);
const form = $("choices");
const asked = { symbol: "", timeframe: "", model: "", lane: "live", cutoff: "" };
const catalog = { instruments: [], forecasters: [] };
let shown = null; // the forecast on the page
let turn = 0; // the newest request; answers to older ones are dropped

const chart = new Chart($("chart"), readOut);

// --- asking ---------------------------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(status, document) {
    super(document.message);
    Object.assign(this, { status, hint: document.hint, detail: document.detail });
  }
}

async function ask(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  let response;
  try {
    response = await fetch(query ? `${path}?${query}` : path, { cache: "no-cache" }); // a 304 costs next to nothing
  } catch {
    throw new Problem(0, { message: "The gateway does not answer.", hint: "Is it running? The page tries again by itself." });
  }
  const document = await response.json().catch(() => ({ message: `The gateway answered ${response.status}.`, hint: "" }));
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

const ms = (text) => Date.parse(text);

/** The newest live forecast, or one issue of a walk-forward, in the same shape. */
async function forecastOf(wanted) {
  return wanted.lane === "live" ? liveForecast(wanted) : pastForecast(wanted);
}

async function liveForecast({ symbol, timeframe, model }) {
  const path = `/showcase/ml-prediction/${encodeURIComponent(symbol)}`;
  const found = await ask(path, { model, timeframe, include: "quantiles,baseline" });
  return {
    ...found, id: found.forecast_id, forecaster: found.model, version: found.model_version, issued_at: found.generated_at,
    naive: found.model === NAIVE ? null : found.baseline, data: `${path}?${new URLSearchParams({ model, timeframe })}`,
  };
}

async function pastForecast({ symbol, timeframe, model, cutoff }) {
  const which = { lane: "backfill", symbol, timeframe, limit: 1 };
  const until = cutoff ? new Date(ms(cutoff) + 1000).toISOString() : undefined;
  const { items } = await ask("/api/v1/forecasts", { ...which, forecaster: model, to: until });
  if (!items.length) {
    const command = `gnomon evaluate --timeframe ${timeframe} --horizon 24 --stride 24 --from … --to … --instruments ${symbol}`;
    throw new Problem(404, {
      message: `No walk-forward has forecasts of ${symbol} ${timeframe} by ${model}.`, hint: `run \`${command}\``,
    });
  }
  const [row] = items, path = `/api/v1/forecasts/${row.id}`;
  const beside = { ...which, forecaster: NAIVE, variant: row.variant, from: row.data_cutoff, order: "oldest" };
  const [full, naive] = await Promise.all([ask(path), model === NAIVE ? null : ask("/api/v1/forecasts", beside)]);
  const same = naive?.items.find((one) => one.data_cutoff === row.data_cutoff) ?? null;
  return { ...full, naive: same, stale: false, next_issue_at: null, data: path };
}

function candlesOf(wanted, forecast) {
  const isPast = wanted.lane !== "live";
  const beyond = isPast ? forecast.target_timestamps.length : 0;
  return ask("/api/v1/candles", {
    symbol: wanted.symbol, timeframe: wanted.timeframe, basis: forecast.basis, limit: HISTORY_BARS + beyond,
    as_of: isPast ? forecast.target_timestamps.at(-1) : undefined,
  });
}

// --- what to show ---------------------------------------------------------------------------------------------------

/** Ask for what is chosen. A mere refresh that fails leaves on the page what was there, and says so. */
async function load({ refresh = false } = {}) {
  const mine = ++turn, wanted = { ...asked };
  form.classList.add("busy");
  try {
    const forecast = await forecastOf(wanted);
    const bars = await candlesOf(wanted, forecast).catch(() => null);
    if (mine !== turn) return;
    shown = { wanted, forecast, view: viewOf(forecast, bars), bars };
    show();
  } catch (problem) {
    if (mine !== turn) return;
    if (refresh && shown) {
      shown.away = true;
      tick();
      return;
    }
    refuse(problem);
  } finally {
    if (mine === turn) form.classList.remove("busy");
  }
  loadBoard(wanted, mine);
}

function viewOf(forecast, bars) {
  const { levels, values } = forecast.quantiles;
  const at = (level) => levels.findIndex((one) => Math.abs(one - level) < 1e-9);
  const columns = { p05: at(0.05), p10: at(0.1), p25: at(0.25), p50: at(0.5), p75: at(0.75), p90: at(0.9), p95: at(0.95) };
  const steps = forecast.target_timestamps.map((time, i) => ({
    number: i + 1, at_ms: ms(time), p_up: forecast.p_up[i],
    ...Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, values[i][column]])),
    p10: forecast.p10[i], p50: forecast.p50[i], p90: forecast.p90[i],
  }));
  const naive = forecast.naive?.p50.slice(0, steps.length).map((p50, i) => ({
    at_ms: steps[i].at_ms, p10: forecast.naive.p10[i], p50, p90: forecast.naive.p90[i],
  }));
  naive?.forEach((one, i) => { steps[i].naive = one; });
  const candles = (bars?.items ?? []).map((c) => ({ ...c, open_ms: ms(c.open_time), close_ms: ms(c.close_time) }));
  return {
    steps, candles, naive: naive ?? null, base: forecast.base_price,
    cutoff_ms: ms(forecast.data_cutoff), issued_ms: ms(forecast.issued_at),
    bar_ms: steps.length > 1 ? steps[1].at_ms - steps[0].at_ms : 0,
    decimals: bars ? decimalsOf(bars.tick) : 4,
    keep: candles.filter((c) => c.close_ms > ms(forecast.data_cutoff)).length + 24,
  };
}

function show() {
  const { wanted, forecast, view } = shown;
  $("notice").hidden = true;
  $("stage").classList.toggle("stale", forecast.stale);
  $("stage").classList.remove("empty");
  $("title").textContent = `${forecast.symbol} ${forecast.timeframe}`;
  document.title = `${forecast.symbol} ${forecast.timeframe} · ${forecast.forecaster} · Gnomon`;
  for (const id of ["forecast", "table"]) $(id).hidden = false;
  $("past").hidden = wanted.lane === "live";
  $("earlier").disabled = false;
  $("later").disabled = !wanted.cutoff;
  $("data").href = forecast.data;
  $("csv").href = `/api/v1/forecasts?${new URLSearchParams({ format: "csv", symbol: wanted.symbol, timeframe: wanted.timeframe, forecaster: wanted.model, lane: wanted.lane })}`;
  chart.draw(view);
  showLegend(view, forecast);
  showFacts();
  showSteps(view, forecast);
  summarise();
  tick();
}

function refuse(problem) {
  shown = null;
  chart.clear();
  $("title").textContent = `${asked.symbol} ${asked.timeframe}`.trim() || "Gnomon";
  document.title = "Gnomon";
  for (const id of ["facts", "legend", "steps", "badges", "readout", "summary"]) $(id).replaceChildren();
  for (const id of ["past", "forecast", "table"]) $(id).hidden = true;
  $("chart").setAttribute("aria-label", "No forecast to show");
  $("stage").classList.add("empty");
  const isEmpty = problem.status === 404;
  const issued = problem.detail?.issued_by ?? [];
  const parts = [make("h2", {}, isEmpty ? "Nothing issued yet" : "This could not be read"), make("p", {}, problem.message)];
  const hint = issued.length ? problem.hint.split("; or ask")[0] : problem.hint; // the buttons ask
  if (hint) parts.push(make("p", { class: "hint" }, ...withCode(hint)));
  const others = issued.map((name) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => { asked.model = name; choose(); });
    return button;
  });
  if (others.length) parts.push(make("p", { class: "others" }, "Issued here by: ", ...others));
  if (!isEmpty) {
    const again = make("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => (catalog.instruments.length ? load() : start()));
    const detail = make("details", {}, make("summary", {}, "Details"), make("pre", {}, JSON.stringify(problem.detail ?? {}, null, 2)));
    parts.push(make("p", {}, again), detail);
  }
  $("notice").replaceChildren(...parts);
  $("notice").hidden = false;
}

// --- parts ----------------------------------------------------------------------------------------------------------

function make(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text with `commands` as code that breaks between words alone. */
function withCode(text) {
  return text.split("`").map((part, i) => {
    if (i % 2 === 0) return part;
    return make("code", {}, ...part.split(" ").flatMap((word, j) => [...(j ? [" "] : []), make("span", {}, word)]));
  });
}

function time(at_ms, text = stamp(at_ms)) {
  return make("time", { datetime: new Date(at_ms).toISOString(), title: local(at_ms) }, text);
}

function aged(at_ms) {
  return [time(at_ms), " ", make("span", { class: "age", "data-at": at_ms }, ago(at_ms))];
}

function showLegend(view, forecast) {
  const items = BANDS.map((band) => make("li", {}, make("i", { class: `swatch ${band.kind}` }), `${band.name} of outcomes expected`));
  items.push(make("li", {}, make("i", { class: "swatch median" }), "median"));
  if (view.naive) items.push(make("li", {}, make("i", { class: "swatch naive" }), `naive (${NAIVE}), 80 %`));
  else if (forecast.forecaster === NAIVE) items.push(make("li", {}, "this is the naive forecast itself"));
  else items.push(make("li", { class: "missing" }, "no naive forecast of this cutoff"));
  items.push(make("li", {}, make("i", { class: "swatch base" }), "last close"));
  $("legend").replaceChildren(...items);
}

function showFacts() {
  const { forecast, view } = shown;
  const last = view.steps.at(-1), move = last.p50 / view.base - 1;
  const rows = [
    ["Forecaster", [forecast.forecaster, make("span", { class: "age" }, ` version ${forecast.version}`)]],
    ["Data cutoff", aged(view.cutoff_ms)],
    ["Issued", aged(view.issued_ms)],
    ["Next issue", forecast.next_issue_at ? aged(ms(forecast.next_issue_at)) : [forecast.stale ? "overdue" : "none due"]],
    ["Last close", [price(view.base, view.decimals)]],
    [`In ${view.steps.length} bars`, [
      `${price(last.p50, view.decimals)} (${signed(move, 2)}), 80 % within ${price(last.p10, view.decimals)} … ${price(last.p90, view.decimals)}`,
    ]],
    ["Naive says", last.naive
      ? [`${price(last.naive.p50, view.decimals)}, 80 % within ${price(last.naive.p10, view.decimals)} … ${price(last.naive.p90, view.decimals)}`]
      : [forecast.forecaster === NAIVE ? "it is the naive forecast" : "nothing of this cutoff"]],
    ["P(up)", [`${percent(last.p_up, 0)} at the last step`]],
    ["Calibration", [forecast.quantiles.kind === "calibrated" ? "recalibrated; raw is kept beside it" : "as the forecaster said it"]],
    ["Ledger", [`forecast ${forecast.id}, row `, make("code", { title: forecast.row_hash }, forecast.row_hash.slice(0, 12))]],
  ];
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, ...value)]));
}

function showSteps(view, forecast) {
  const names = ["step", "closes", "p5", "p10", "median", "p90", "p95", "P(up)", ...(view.naive ? ["naive p10", "naive p90"] : [])];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = view.steps.map((s) => {
    const cells = [s.p05, s.p10, s.p50, s.p90, s.p95].map((value) => make("td", {}, price(value, view.decimals)));
    const naive = view.naive ? [s.naive?.p10, s.naive?.p90].map((v) => make("td", {}, v === undefined ? "–" : price(v, view.decimals))) : [];
    return make("tr", {}, make("th", { scope: "row" }, String(s.number)), make("td", {}, time(s.at_ms)), ...cells, make("td", {}, percent(s.p_up, 0)), ...naive);
  });
  $("steps").replaceChildren(make("table", {}, make("caption", {}, `${forecast.symbol} ${forecast.timeframe} by ${forecast.forecaster}`), make("thead", {}, head), make("tbody", {}, ...body)));
}

function summarise() {
  const { forecast, view } = shown;
  const last = view.steps.at(-1), d = view.decimals;
  const text =
    `${forecast.forecaster} sees ${forecast.symbol} at ${price(last.p50, d)} by ${stamp(last.at_ms)}, ` +
    `from ${price(view.base, d)}; with 80 % between ${price(last.p10, d)} and ${price(last.p90, d)}.`;
  $("summary").textContent = text;
  $("chart").setAttribute("aria-label", `Candles and forecast fan of ${forecast.symbol} ${forecast.timeframe}. Arrow keys read single bars.`);
}

function readOut(point) {
  if (!shown) return;
  const d = shown.view.decimals;
  if (!point) {
    const newest = shown.view.candles.at(-1);
    const text = newest ? `newest bar ${stamp(newest.close_ms)}: close ${price(newest.close, d)}` : "no bars stored of this series";
    $("readout").replaceChildren(make("span", { class: "quiet" }, text));
    return;
  }
  const parts = [make("b", {}, stamp(point.at_ms))];
  const { candle, step } = point;
  if (candle) {
    const move = candle.close / candle.open - 1;
    parts.push(
      `O ${price(candle.open, d)}  H ${price(candle.high, d)}  L ${price(candle.low, d)}  C ${price(candle.close, d)}`,
      make("span", { class: move < 0 ? "down" : "up" }, `${move < 0 ? "▼" : "▲"} ${signed(move, 2)}`),
    );
  }
  if (step) {
    parts.push(
      `step ${step.number}: median ${price(step.p50, d)}`, `80 % ${price(step.p10, d)} … ${price(step.p90, d)}`,
      `P(up) ${percent(step.p_up, 0)}`,
    );
    if (step.naive) parts.push(make("span", { class: "quiet" }, `naive ${price(step.naive.p10, d)} … ${price(step.naive.p90, d)}`));
  }
  $("readout").replaceChildren(...parts.map((part) => (typeof part === "string" ? make("span", {}, part) : part)));
}

// --- how good -------------------------------------------------------------------------------------------------------

async function loadBoard(wanted, mine) {
  if (!wanted.symbol) return;
  try {
    const which = { timeframe: wanted.timeframe, symbol: wanted.symbol };
    const rows = await boardOf({ ...which, lane: wanted.lane });
    const tried = rows.length || wanted.lane !== "live" ? [] : await boardOf({ ...which, lane: "backfill" });
    if (mine === turn) showBoard(wanted, rows, tried);
  } catch (problem) {
    if (mine !== turn) return;
    $("verdict").replaceChildren();
    $("board").replaceChildren(make("p", { class: "quiet" }, `The scoreboard could not be read: ${problem.message}`));
    $("board-note").textContent = "";
  }
}

async function boardOf(which) {
  const { board } = await ask("/api/v1/board", which);
  return board.filter((row) => row.instrument !== "all");
}

/** The rows of the lane; where it has none yet, those of the walk-forward, called so. */
function showBoard(wanted, rows, tried) {
  const mine = rows.find((row) => row.forecaster.split("@")[0] === wanted.model);
  showVerdict(wanted, mine);
  if (!rows.length && !tried.length) {
    const how = wanted.lane === "live" ? "`gnomon score` marks each step once its bar has closed." : "`gnomon evaluate` walks forward and scores.";
    $("board").replaceChildren(make("p", { class: "quiet" }, ...withCode(`Nothing is scored here yet. ${how}`)));
    $("board-note").textContent = "";
    return;
  }
  const head = ["forecaster", "n", "skill", "95 % interval", "in 80 %", "verdict"].map((name) => make("th", { scope: "col" }, name));
  const body = (rows.length ? rows : tried).map((row) => boardRow(row, row.forecaster.split("@")[0] === wanted.model));
  const caption = rows.length ? null : make("caption", {}, "No live forecast is scored yet. In the walk-forward:");
  $("board").replaceChildren(make("table", {}, caption ?? "", make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
  const lane = rows.length && wanted.lane === "live" ? "Issued when due" : "Issued afterwards, as of each cutoff";
  $("board-note").textContent = `${lane}. Skill is pinball loss saved against naive (${NAIVE}) on the same steps; the best lower bound comes first.`;
}

function boardRow(row, isMine) {
  const interval = row.skill_lo === null || row.skill_hi === null || row.verdict_kind === "reference" ? "" : `${signed(row.skill_lo)} … ${signed(row.skill_hi)}`;
  const cells = [
    row.n.toLocaleString("en-US"), row.skill === null || row.verdict_kind === "reference" ? "" : signed(row.skill), interval,
    row.coverage80 === null ? "" : percent(row.coverage80, 0),
  ].map((text) => make("td", {}, text));
  const words = make("td", { class: "words" }, `${VERDICT_MARKS[row.verdict_kind] ?? ""} ${row.verdict}${row.star ? " ★" : ""}`);
  return make("tr", { class: `${row.verdict_kind}${isMine ? " mine" : ""}` }, make("th", { scope: "row" }, row.forecaster), ...cells, words);
}

function showVerdict(wanted, row) {
  const kind = row?.verdict_kind ?? "too_early";
  const words = row ? row.verdict : "nothing scored yet";
  const where = `on ${wanted.symbol} ${wanted.timeframe}${wanted.lane === "live" ? "" : ", walk-forward"}`;
  $("verdict").className = `verdict ${kind}`;
  $("verdict").replaceChildren(make("span", { class: "mark", "aria-hidden": "true" }, VERDICT_MARKS[kind] ?? ""), " ", make("b", {}, wanted.model), ` ${where}: ${words}`);
}

// --- choosing -------------------------------------------------------------------------------------------------------

function issuedOf(symbol, timeframe) {
  const instrument = catalog.instruments.find((one) => one.symbol === symbol);
  return (instrument?.issued ?? []).filter((one) => !timeframe || one.timeframe === timeframe);
}

function timeframesOf(symbol) {
  const instrument = catalog.instruments.find((one) => one.symbol === symbol);
  const stored = [...(instrument?.issued ?? []), ...(instrument?.bars ?? [])].map((one) => one.timeframe);
  return [...new Set(stored)].sort((a, b) => length(a) - length(b));
}

function length(timeframe) {
  const [, count, unit] = timeframe.match(/^(\d+)(mo|[smhdw])$/) ?? [0, 0, "s"];
  return count * { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, mo: 2_592_000 }[unit];
}

/** Complete what was asked with what there is: an answer is shown wherever there is one. */
function complete() {
  const known = catalog.instruments.map((one) => one.symbol);
  const first = catalog.instruments.find((one) => one.issued.length) ?? catalog.instruments.find((one) => one.bars.length);
  if (!known.includes(asked.symbol)) asked.symbol = asked.symbol || (first ?? catalog.instruments[0])?.symbol || "";
  const lengths = timeframesOf(asked.symbol);
  if (!asked.timeframe) asked.timeframe = issuedOf(asked.symbol)[0]?.timeframe ?? lengths[0] ?? "1h";
  if (!asked.model) {
    const issued = new Set(issuedOf(asked.symbol, asked.timeframe).map((one) => one.forecaster));
    const order = catalog.forecasters.map((one) => one.name).filter((name) => issued.has(name));
    asked.model = order.find((name) => name !== NAIVE) ?? order[0] ?? NAIVE;
  }
}

function option(value, text, selected) {
  return make("option", { value, selected }, text);
}

function fill(select, groups, value) {
  const all = groups.flatMap(([, values]) => values);
  const made = groups.filter(([, values]) => values.length).map(([name, values]) => {
    const options = values.map((one) => option(one, one, one === value));
    return name ? make("optgroup", { label: name }, ...options) : options;
  });
  if (value && !all.includes(value)) made.push(option(value, value, true));
  select.replaceChildren(...made.flat());
  select.value = value;
}

function offer() {
  const byClass = Object.entries(CLASSES).map(([id, name]) => [
    name, catalog.instruments.filter((one) => one.asset_class === id && (one.forecast || one.bars.length || one.issued.length)).map((one) => one.symbol),
  ]);
  fill($("symbol"), byClass, asked.symbol);
  fill($("timeframe"), [["", timeframesOf(asked.symbol)]], asked.timeframe);
  const issued = new Set(issuedOf(asked.symbol, asked.timeframe).map((one) => one.forecaster));
  const names = catalog.forecasters.map((one) => one.name);
  fill($("model"), [["issued", names.filter((n) => issued.has(n))], ["not issued here", names.filter((n) => !issued.has(n))]], asked.model);
  for (const radio of form.elements.lane) radio.checked = radio.value === asked.lane;
}

function choose({ replace = false } = {}) {
  complete();
  offer();
  const given = Object.entries(asked).filter(([name, value]) => value && !(name === "lane" && value === "live"));
  const address = `/?${new URLSearchParams(given)}`;
  if (replace) history.replaceState(null, "", address);
  else if (address !== location.pathname + location.search) history.pushState(null, "", address);
  return load();
}

function readAddress() {
  const given = new URLSearchParams(location.search);
  for (const name of Object.keys(asked)) asked[name] = given.get(name) ?? "";
  if (asked.lane !== "backfill") asked.lane = "live";
}

async function loadCatalog() {
  const [instruments, forecasters] = await Promise.all([
    ask("/api/v1/instruments", { lane: asked.lane }), ask("/api/v1/forecasters", { lane: asked.lane }),
  ]);
  catalog.instruments = instruments.items;
  catalog.forecasters = forecasters.items;
}

async function start() {
  try {
    await loadCatalog();
  } catch (problem) {
    refuse(problem);
    return;
  }
  await choose({ replace: true });
}

form.addEventListener("change", async (event) => {
  const { name, value } = event.target;
  asked[name] = value;
  asked.cutoff = "";
  if (name === "symbol" && !timeframesOf(value).includes(asked.timeframe)) asked.timeframe = "";
  if (name === "lane") {
    try { await loadCatalog(); } catch (problem) { refuse(problem); return; }
  }
  const issued = issuedOf(asked.symbol, asked.timeframe);
  if (name !== "model" && issued.length && !issued.some((one) => one.forecaster === asked.model)) asked.model = "";
  choose();
});
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("popstate", () => { readAddress(); start(); });

async function walk(button, params) {
  const { symbol, timeframe, model } = asked;
  const which = { lane: "backfill", symbol, timeframe, forecaster: model, variant: shown.forecast.variant, limit: 1, ...params };
  const { items } = await ask("/api/v1/forecasts", which);
  if (items.length) { asked.cutoff = items[0].data_cutoff; choose(); } else button.disabled = true;
}
const beyond = (milliseconds) => new Date(shown.view.cutoff_ms + milliseconds).toISOString();
$("earlier").addEventListener("click", () => shown && walk($("earlier"), { to: shown.forecast.data_cutoff }));
$("later").addEventListener("click", () => shown && walk($("later"), { from: beyond(1000), order: "oldest" }));

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("gnomon-theme", root.dataset.theme);
});

// --- time -----------------------------------------------------------------------------------------------------------

/** Ages tick by themselves, and a forecast grows stale before the reader's eyes. */
function tick() {
  const now = Date.now();
  for (const one of document.querySelectorAll("[data-at]")) one.textContent = ago(Number(one.dataset.at), now);
  if (!shown) return;
  const { forecast, wanted, view } = shown, badges = [];
  if (wanted.lane !== "live") badges.push(make("span", { class: "badge afterwards" }, "walk-forward"));
  else if (forecast.stale || now >= ms(forecast.valid_until)) {
    badges.push(make("span", { class: "badge stale" }, `stale: issued ${ago(view.issued_ms, now)}, the next issue is overdue`));
    $("stage").classList.add("stale");
  } else badges.push(make("span", { class: "badge fresh" }, `fresh: issued ${ago(view.issued_ms, now)}, good for ${span(ms(forecast.valid_until) - now)}`));
  if (shown.away) badges.push(make("span", { class: "badge stale" }, "the gateway does not answer; this is what it said last"));
  if (wanted.lane === "live" && !view.candles.length) badges.push(make("span", { class: "badge stale" }, "no bars stored"));
  if (badges.map((b) => b.textContent).join() !== $("badges").textContent) $("badges").replaceChildren(...badges);
}

setInterval(tick, 1000);
setInterval(() => { if (!document.hidden && asked.lane === "live" && asked.symbol) load({ refresh: true }); }, REFRESH_MS);

readAddress();
start();
