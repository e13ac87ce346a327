// The pieces the page is made of. Whatever is put into them becomes text, never markup.

export const SEVERITIES = {
  ok: "Healthy", warning: "Degraded", critical: "Critical", unknown: "Unknown",
};

export function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function shape(severity) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("focusable", "false");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#shape-${severity}`);
  picture.append(use);
  return picture;
}

export function badge(severity, words) {
  const kind = Object.hasOwn(SEVERITIES, severity) ? severity : "unknown";
  return element("span", { class: `state ${kind}` }, shape(kind), words);
}

export function command(line) {
  return element("span", { class: "do" }, "Next: ", element("code", {}, line));
}

export function rows(id, lines, none) {
  document.getElementById(id).replaceChildren(...(lines.length ? lines : [element("tr", {}, element("td", { colspan: "3" }, none))]));
}
