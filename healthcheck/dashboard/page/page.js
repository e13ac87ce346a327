// Asks the server how things are every two seconds and shows it. What the server sends is shown as text, never as
// markup. When no answer comes for some seconds, the page says so, and since when: it never shows an old green.

import { badge, command, element, rows, SEVERITIES } from "/parts.js";
import { draw } from "/plot.js";
import { milliseconds, number, short, span } from "/words.js";

const EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 2500;
const LOST_AFTER_MS = 4500;
const RULE_WORDS = { ok: "ok", warning: "warning", critical: "critical", unknown: "unknown" };
const SOURCE_WORDS = { ok: ["ok", "ok"], bad: ["critical", "bad"], unknown: ["unknown", "unknown"], none: ["unknown", "not here"] };
const PRIORITIES = ["emergency", "alert", "critical", "error", "warning"];

// Which of this host's bridges this page is of; without a name the plain one.
const bridgeName = new URLSearchParams(location.search).get("bridge");
const STATE_URL = bridgeName === null ? "/api/state" : `/api/state?bridge=${encodeURIComponent(bridgeName)}`;

const opened = new Date();
let state = null; // the last answer
let arrived = 0; // performance.now() at that time
let arrivedAt = null; // the same by the server's clock

const $ = (id) => document.getElementById(id);

function set(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

function clock(iso) {
  // The day is named unless it is today.
  const day = iso.slice(0, 10);
  const today = new Date(serverNow()).toISOString().slice(0, 10);
  return (day === today ? "" : `${day} `) + iso.slice(11, 19);
}

function since(iso) {
  return iso ? ` since ${clock(iso)}` : "";
}

function serverNow() {
  return arrivedAt === null ? Date.now() : arrivedAt + (performance.now() - arrived);
}

// ---- asking

async function ask() {
  const started = performance.now();
  try {
    const answer = await fetch(STATE_URL, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    const document_ = await answer.json();
    state = document_;
    arrived = performance.now();
    arrivedAt = Date.parse(state.at);
    show();
  } catch {
    // told by `tick`, which also runs when no answer and no error comes
  }
  tick();
  setTimeout(ask, Math.max(200, EVERY_MS - (performance.now() - started)));
}

function tick() {
  const silent = state === null || performance.now() - arrived > LOST_AFTER_MS;
  if (silent) lose();
  else showTime();
}

function lose() {
  const from = state === null ? opened.toISOString() : new Date(arrivedAt).toISOString();
  if (state === null && performance.now() < LOST_AFTER_MS) return; // the first answer is on its way
  document.documentElement.classList.add("lost");
  set("live-words", `no answer since ${clock(from)}`);
  showVerdict("unknown", `since ${clock(from)} UTC`, "The dashboard's own server does not answer. What is below was true then. Is scan-bridge-health dashboard running, and the way to it (ssh -L) open?");
  set("age", "unknown");
  set("age-note", `since ${clock(from)}`);
  for (const id of ["lag", "rate", "up"]) set(id, "unknown");
  for (const id of ["age", "lag", "rate", "up"]) mark(id, "stale");
}

// ---- showing

function mark(id, kind) {
  const box = $(id).closest("div");
  for (const name of ["stale", "near", "over"]) box.classList.toggle(name, name === kind);
}

function showVerdict(severity, sinceWords, why) {
  const section = $("verdict");
  if (section.className !== severity) {
    section.className = severity;
    $("verdict-shape").setAttribute("href", `#shape-${severity}`);
  }
  set("verdict-word", SEVERITIES[severity]);
  set("verdict-since", sinceWords);
  set("verdict-why", why);
  const title = `${SEVERITIES[severity]} – scan-bridge${state ? ` ${state.instance}` : ""}`;
  if (document.title !== title) document.title = title;
}

function showTime() {
  const passed = (performance.now() - arrived) / 1000;
  set("live-words", `live, ${new Date(serverNow()).toISOString().slice(11, 19)} UTC`);
  const scan = state.scan;
  if (scan === null) {
    const hazelcast = state.sources[0];
    const away = hazelcast.state !== "ok";
    set("age", away ? "unknown" : "none");
    set("age-note", away ? since(hazelcast.since).trim() : "the map holds no scan");
    mark("age", "stale");
  } else if (!scan.known) {
    set("age", "unknown");
    set("age-note", `since ${clock(scan.seen_at)}; last seen:`);
    mark("age", "stale");
  } else {
    const age = scan.age_s + passed;
    const [warning, critical] = state.limits.age_s;
    set("age", span(age));
    set("age-note", "old");
    mark("age", critical !== null && age > critical ? "over" : warning !== null && age > warning ? "near" : "");
  }
  const bridge = state.sources[1];
  const up = state.restarts.up_since;
  if (bridge.state !== "ok" || up === null) {
    set("up", bridge.state === "bad" ? "silent" : "unknown");
    mark("up", bridge.state === "bad" ? "over" : "stale");
  } else {
    set("up", span((serverNow() - Date.parse(up)) / 1000));
    mark("up", "");
  }
}

// A part is drawn anew only when its data changed, so that focus, selection and screen readers are left alone.
const drawn = new Map();
function part(name, data, render) {
  const key = JSON.stringify(data);
  if (drawn.get(name) === key) return;
  drawn.set(name, key);
  render(data);
}

function show() {
  document.documentElement.classList.remove("lost");
  set("instance", state.instance);
  set("version", `scan-bridge ${state.version}`);
  const v = state.verdict;
  const severity = Object.hasOwn(SEVERITIES, v.severity) ? v.severity : "unknown";
  showVerdict(severity, `since ${v.exact ? "" : "at least "}${clock(v.since)} UTC`, v.words);
  showFigures();
  showBridges(state.bridges ?? []);
  part("mute", state.mute, showMute);
  part("plots", [state.history, state.limits, innerWidth], showPlots);
  part("alerts", [state.alerts, source("Health check")], showAlerts);
  part("findings", state.findings, showFindings);
  const { judged } = state;
  $("findings").classList.toggle("old", !judged.known);
  set("findings-note", !judged.at ? "Not judged yet." : judged.known
    ? `Judged by this page at ${clock(judged.at)} with the health check's rules; it sends and restarts nothing.`
    : `Unknown since ${clock(judged.at)}; this was the last judgement.`);
  part("sources", state.sources, showSources);
  part("prefect", state.prefect, showPrefect);
  part("past", state.past, showPast);
  part("journal", [state.journal, source("Journal")], showJournal);
}

function source(name) {
  return state.sources.find((one) => one.name === name);
}

function showFigures() {
  const { scan, lag, rate, restarts, counters, kept } = state;
  const known = state.sources[0].state === "ok";
  set("scan-path", scan ? scan.path : "–");
  set("scan-more", scan ? `no. ${number(scan.sequence, 0)}, ${number(scan.bytes / 1000, 1)} kB${scan.rows === null ? "" : `, ${number(scan.rows, 0)} rows`}, by ${scan.bridge}` : "–");
  const [warning, critical] = state.limits.lag_ms;
  set("lag", lag && known ? milliseconds(lag.last_ms) : "unknown");
  const was = known ? "" : "was: ";
  set("lag-more", lag && lag.p50_ms !== null ? `${was}5 min: half within ${milliseconds(lag.p50_ms)}, 99\u00a0% within ${milliseconds(lag.p99_ms)}` : "nothing published in 5 min");
  mark("lag", !lag || !known ? "stale" : critical !== null && lag.last_ms > critical ? "over" : warning !== null && lag.last_ms > warning ? "near" : "");
  set("rate", rate && known ? number(rate.m1, 1) : "unknown");
  set("rate-more", rate ? `${was}${number(rate.m5, 1)} over 5 min; ${number(counters.skipped, 0)}\u00a0skipped, ${number(counters.bad, 0)}\u00a0bad` : "–");
  $("kept").hidden = !kept;
  if (kept) set("kept", `${was}history ${kept.missing === null ? "not compared yet" : kept.missing === 0 ? "complete" : `lacks ${number(kept.missing, 0)}, gets ${number(kept.per_s, 1)}/s`}${kept.words && `: ${kept.words}`}`);
  mark("rate", rate && known ? "" : "stale");
  const count = (n, by) => `${n === 0 ? "no restart" : n === 1 ? "1 restart" : `${n} restarts`} by ${by}`;
  const parts = [];
  if (restarts.by_systemd !== null) parts.push(count(restarts.by_systemd, "systemd"));
  parts.push(restarts.by_check === null ? "restarts by the check unknown" : count(restarts.by_check.length, "the check"));
  if (restarts.exhausted) parts.push("no more are tried");
  if (state.memory_mb !== null) parts.push(`${number(state.memory_mb, 0)}\u00a0MB`);
  set("restarts", parts.join("; "));
}

function showBridges(bridges) {
  $("bridges-section").hidden = bridges.length < 2;
  part("bridges", bridges.map((one) => ({ ...one, age_s: one.age_s === null ? null : Math.round(one.age_s) })), (all) => rows("bridges", all.map((one) => {
    const own = one.page === state.instance;
    const was = one.known ? "" : "was ";
    return element("tr", {},
      element("td", {}, badge(one.severity, RULE_WORDS[one.severity] ?? "unknown")),
      element("th", { scope: "row" }, one.page === null || own ? one.name : element("a", { href: `/?bridge=${encodeURIComponent(one.page)}` }, one.name)),
      element("td", {}, one.host ?? "–"),
      element("td", {}, one.newest === null ? "–" : `${one.newest}, ${was}${short(one.age_s)} old`),
      element("td", {}, one.lag_ms === null ? "–" : `${was}${milliseconds(one.lag_ms)}`),
      element("td", {}, one.since ? element("strong", {}, `since ${clock(one.since)}: `) : null, one.words));
  }), "none known"));
}

function showMute(mute) {
  $("mute").hidden = mute === null;
  set("mute", mute ? `Muted until ${clock(mute.until)} by ${mute.by}: ${mute.why}. Nothing is sent and nothing is restarted until then.` : "");
}

function showFindings(findings) {
  rows("findings", findings.map((finding) => element("tr", {},
    element("td", {}, badge(finding.severity, RULE_WORDS[finding.severity] ?? "unknown")),
    element("th", { scope: "row" }, finding.rule),
    element("td", {},
      finding.cause ? element("strong", {}, `${finding.cause}: `) : null,
      finding.words,
      finding.explained_by ? ` (a consequence of ${finding.explained_by})` : null,
      finding.look_further ? command(finding.look_further) : null))), "nothing yet");
}

function showSources(sources) {
  rows("sources", sources.map((one) => {
    const [kind, word] = SOURCE_WORDS[one.state] ?? SOURCE_WORDS.unknown;
    return element("tr", {},
      element("td", {}, badge(kind, word)),
      element("th", { scope: "row" }, one.name),
      element("td", {}, one.since ? element("strong", {}, `${one.state === "bad" ? "silent" : "unknown"}${since(one.since)}: `) : null, one.words));
  }), "none yet");
}

function showAlerts([alerts, health]) {
  set("alerts-count", alerts.length ? `(${alerts.length})` : "");
  const away = health.state !== "ok";
  $("alerts-note").hidden = !away;
  set("alerts-note", away ? `The health check is ${health.state === "bad" ? "silent" : "unknown"}${since(health.since)}: ${health.words}. Its alerts are shown as they were.` : "");
  const none = away && health.since === null ? "None known." : "None.";
  $("alerts").replaceChildren(...(alerts.length ? alerts.map(alertCard) : [element("p", { class: "note" }, none)]));
}

function alertCard(alert) {
  const told = alert.told.length ? `Told: ${alert.told.join(", ")}.` : alert.wanted.length ? `Nobody told yet; it is for ${alert.wanted.join(", ")}.` : "For the log only.";
  return element("article", { class: `alert ${alert.severity === "critical" ? "critical" : "warning"}` },
    element("h3", {}, badge(alert.severity, alert.severity), alert.title, element("time", {}, `since ${clock(alert.since)}${alert.clearing ? ", clearing" : ""}`)),
    ...alert.words.map((words) => element("p", {}, words)),
    ...alert.done.map((done) => element("p", {}, `Done: ${done}`)),
    alert.causes.length > 1 ? element("p", { class: "note" }, `Causes so far: ${alert.causes.join(", then ")}`) : null,
    alert.look_further ? element("p", {}, command(alert.look_further)) : null,
    element("p", { class: "note" }, told));
}

function showPast(past) {
  rows("past", past.map((alert) => element("tr", {},
    element("td", { class: "time" }, clock(alert.since)),
    element("td", { class: "time" }, alert.lasted),
    element("td", {}, badge(alert.severity, alert.title)))), "none");
}

function showPrefect(run) {
  $("prefect-line").hidden = run === null;
  if (run === null) return;
  const url = new URL(run.url);
  if (url.protocol === "http:" || url.protocol === "https:") $("prefect").setAttribute("href", url.href);
  set("prefect", `${run.name}: ${run.state}${run.known ? "" : " (as it was)"}`);
}

function showJournal([lines, journal]) {
  const away = journal.state !== "ok";
  $("journal-note").hidden = !away;
  set("journal-note", away ? (journal.state === "none" ? `Journal: ${journal.words}.` : `Unknown${since(journal.since)}: ${journal.words}`) : "");
  rows("journal", [...lines].reverse().map((line) => element("tr", {},
    element("td", { class: "time" }, clock(line.at)),
    element("td", {}, badge(line.priority <= 3 ? "critical" : "warning", PRIORITIES[line.priority] ?? "warning")),
    element("td", {}, line.words))), away ? "–" : "no warnings");
}

function showPlots([history, limits]) {
  const known = history.age_s.map((age) => age !== null);
  const unknownFor = known.filter((k) => !k).length * history.step_s;
  const gap = unknownFor ? `, unknown for ${short(unknownFor)}` : "";
  const latest = (values) => values.findLast((value) => value !== null) ?? null;
  const highest = (values) => {
    let best = -1;
    values.forEach((value, i) => { if (value !== null && (best < 0 || value > values[best])) best = i; });
    return best < 0 ? null : [values[best], new Date((history.start_s + best * history.step_s) * 1000).toISOString().slice(11, 16)];
  };
  const plot = (id, name, values, format, options) => {
    const peak = highest(values);
    const words = peak === null ? `none known${gap}` : `last ${format(latest(values))}, highest ${format(peak[0])} at ${peak[1]}${gap}`;
    set(`plot-${id}-words`, words);
    draw($(`plot-${id}`), history, values, known, { format, words: `${name}: ${words}`, ...options });
  };
  plot("age", "Age of the newest scan", history.age_s, short, { limits: limits.age_s });
  plot("lag", "Lag from file to Hazelcast", history.lag_ms, milliseconds, { limits: limits.lag_ms });
  plot("rate", "Scans per minute", history.per_min, (value) => number(value, 1), { bars: true });
}

ask();
setInterval(tick, 500);
addEventListener("resize", () => { if (state !== null) show(); });
// A page that slept must not show what it last knew for even a moment longer than needed.
document.addEventListener("visibilitychange", tick);
addEventListener("pageshow", tick);
