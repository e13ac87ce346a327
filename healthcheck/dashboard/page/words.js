// How numbers and durations are written. As in the health check's messages, but ticking.

export function number(value, digits) {
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 10) return `${number(ms, 1)} ms`;
  if (ms < 1000) return `${number(ms, 0)} ms`;
  return ms < 120000 ? `${number(ms / 1000, 1)} s` : span(ms / 1000);
}

export function short(seconds) {
  if (seconds < 120) return `${number(seconds, 1)} s`;
  return seconds < 7200 ? `${number(seconds / 60, 1)} min` : `${number(seconds / 3600, 1)} h`;
}
