// Makes elements. Every text becomes a text node, so no document can bring markup into the page.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (functions are listeners) and children (strings are texts). */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function find(id) {
  return document.getElementById(id);
}

export function show(element, visible) {
  element.hidden = !visible;
}

/** Say something to everybody, also to those who hear the page. */
export function say(text, isError = false) {
  const line = find("message");
  line.textContent = text;
  line.classList.toggle("error", isError);
}

export function number(value, digits = 3) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

/** A count with its noun: `1 query`, `2 queries`. */
export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

export function signed(value, digits = 3) {
  return `${value > 0 ? "+" : ""}${value.toFixed(digits)}`;
}

/** Let the browser save a text as a file. */
export function download(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], {type}));
  const link = make("a", {href: url, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
