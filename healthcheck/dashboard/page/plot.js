// Draws one plot as SVG: a line or bars over time, limits, and what was not known as a shaded gap.

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 132;
const LEFT = 52, RIGHT = 6, TOP = 8, BOTTOM = 20;
const SHORTEST_S = 600; // the time axis is never shorter than ten minutes
const NICE_STEPS_S = [60, 120, 300, 600, 1800, 3600, 7200];

function svg(name, attributes, text) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

function niceTop(highest) {
  if (!(highest > 0)) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].map((n) => n * magnitude).find((n) => n >= highest);
}

function timeLabel(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 16);
}

/**
 * @param into element to draw into; its width decides.
 * @param history {start_s, step_s}, and `values`, a number or null for each step
 * @param known for each step, whether it was looked at
 * @param options {bars, limits: [warning, critical], format}
 */
export function draw(into, history, values, known, options) {
  const width = Math.max(160, into.clientWidth);
  const { start_s: start, step_s: step } = history;
  const end = start + values.length * step;
  const from = Math.min(start, end - SHORTEST_S);
  const highest = Math.max(0, ...values.filter((value) => value !== null));
  const [warning, critical] = options.limits ?? [null, null];
  // A limit is shown once the values come near it; far below, it would flatten them.
  const near = [warning, critical].filter((limit) => limit !== null && highest >= limit * 0.4);
  const top = niceTop(Math.max(highest * 1.05, ...near));
  const x = (seconds) => LEFT + ((seconds - from) / (end - from)) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);

  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": options.words, focusable: "false",
  });
  let index = 0;
  while (index < values.length) {
    const first = index;
    while (index < values.length && !known[index]) index += 1;
    if (index > first) {
      const left = x(start + first * step);
      picture.append(svg("rect", { class: "gap", x: left, y: TOP, width: x(start + index * step) - left, height: HEIGHT - TOP - BOTTOM }));
    }
    while (index < values.length && known[index]) index += 1;
  }
  for (const part of [0, 0.5, 1]) {
    const at = y(top * part);
    picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
    picture.append(svg("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, options.format(top * part)));
  }
  const spacing = NICE_STEPS_S.find((s) => (end - from) / s <= Math.max(2, (width - LEFT) / 75)) ?? 7200;
  for (let tick = Math.ceil(from / spacing) * spacing; tick <= end; tick += spacing) {
    const at = x(tick);
    if (at < LEFT + 14 || at > width - 20) continue;
    picture.append(svg("text", { x: at, y: HEIGHT - 5, "text-anchor": "middle" }, timeLabel(tick)));
  }
  for (const [limit, kind] of [[warning, "warning"], [critical, "critical"]]) {
    if (limit === null || limit > top) continue;
    picture.append(svg("line", { class: `limit ${kind}`, x1: LEFT, x2: width - RIGHT, y1: y(limit), y2: y(limit) }));
  }
  (options.bars ? bars : line)(picture, values, known, (i) => x(start + (i + 0.5) * step), y, x(step) - x(0));
  into.replaceChildren(picture);
}

function bars(picture, values, known, x, y, wide) {
  const bar = Math.max(1, wide * 0.8);
  values.forEach((value, i) => {
    if (value === null || value === 0) return;
    picture.append(svg("rect", { class: "bar", x: x(i) - bar / 2, y: y(value), width: bar, height: Math.max(1, y(0) - y(value)) }));
  });
}

// Steps without a value are bridged as long as they were looked at; a gap in knowledge breaks the line.
function line(picture, values, known, x, y) {
  let run = [];
  const finish = () => {
    if (run.length === 1) picture.append(svg("circle", { class: "dot", cx: run[0][0], cy: run[0][1], r: 2.5 }));
    if (run.length > 1) {
      const points = run.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" L");
      const base = y(0).toFixed(1);
      picture.append(svg("path", { class: "area", d: `M${run[0][0].toFixed(1)},${base} L${points} L${run.at(-1)[0].toFixed(1)},${base} Z` }));
      picture.append(svg("path", { class: "line", d: `M${points}` }));
    }
    run = [];
  };
  values.forEach((value, i) => {
    if (!known[i]) finish();
    else if (value !== null) run.push([x(i), y(value)]);
  });
  finish();
}
