// Changes numbers in a plan's YAML and leaves every other character, comments too.
//
// It reads the YAML that plans are written in: mappings and lists in blocks, by indentation, and in
// braces within one line. What it cannot find it adds.

/** The text with these numbers: pairs of a path and a value. */
export function setNumbers(text, numbers) {
  let lines = text.split("\n");
  for (const [path, value] of numbers) lines = setNumber(lines, path, value);
  return lines.join("\n");
}

/** Lines that differ: `{sign, text}`. All changes are within lines, or lines that are added. */
export function differences(before, after) {
  const [old, now] = [before.split("\n"), after.split("\n")];
  const found = [];
  let place = 0;
  now.forEach((line) => {
    if (old[place] === line) {
      place += 1;
    } else if (now.length > old.length && !isChanged(old[place], line)) {
      found.push({sign: "+", text: line});
    } else {
      found.push({sign: "-", text: old[place]}, {sign: "+", text: line});
      place += 1;
    }
  });
  return found;
}

/** Whether a line is the other one with another value. */
function isChanged(one, other) {
  const key = (line) => /^\s*(?:- )?[\w-]+(?=:)/.exec(line ?? "")?.[0];
  return key(one) !== undefined && key(one) === key(other);
}

function setNumber(lines, path, value) {
  return setIn(lines, 0, lines.length, -1, path, value);
}

/** Set a value below the lines from `start` to `end`, which are indented more than `indent`. */
function setIn(lines, start, end, indent, path, value) {
  const [name, ...rest] = path;
  if (typeof name === "number") return setInItem(lines, start, end, name, rest, value);
  const own = ownIndent(lines, start, end, indent);
  for (let place = start; place < end; place += 1) {
    const match = matchKey(lines[place], name, own);
    if (match) {
      const last = blockEnd(lines, place, end, own);
      const flow = match.rest.trimStart();
      if (!rest.length) return replaceLine(lines, place, match.before + writeValue(match.rest, value));
      if (flow.startsWith("{") || flow.startsWith("[")) {
        return replaceLine(lines, place, match.before + setInFlow(match.rest, rest, value));
      }
      return setIn(lines, place + 1, last, own, rest, value);
    }
  }
  const blanks = " ".repeat(Math.max(own, 0));
  return insertLine(lines, trimEnd(lines, start, end), blanks + writeNew(path, value));
}

function setInItem(lines, start, end, number, rest, value) {
  let seen = -1;
  const own = ownIndent(lines, start, end, -1);
  for (let place = start; place < end; place += 1) {
    if (indentOf(lines[place]) === own && lines[place].trimStart().startsWith("- ")) seen += 1;
    if (seen !== number || !lines[place].trimStart().startsWith("- ")) continue;
    const dash = lines[place].indexOf("- ") + 2;
    const content = lines[place].slice(dash);
    if (content.trimStart().startsWith("{")) {
      return replaceLine(lines, place, lines[place].slice(0, dash) + setInFlow(content, rest, value));
    }
    const last = blockEnd(lines, place, end, own);
    // The first key of an item stands behind the dash, as if it were a blank.
    const blank = [...lines];
    blank[place] = " ".repeat(dash) + content;
    const changed = setIn(blank, place, last, dash - 1, rest, value);
    changed[place] = lines[place].slice(0, dash) + changed[place].slice(dash);
    return changed;
  }
  return lines;
}

/** Set a value in braces or brackets that are whole on this line. */
function setInFlow(text, path, value) {
  const [name, ...rest] = path;
  const open = text.search(/[{[]/);
  const close = closing(text, open);
  const items = splitFlow(text.slice(open + 1, close));
  const index = typeof name === "number"
    ? name
    : items.findIndex((item) => item.trimStart().startsWith(`${name}:`));
  if (index < 0 || index >= items.length) {
    items.push(`${items.join("").trim() ? " " : ""}${writeNew(path, value)}`);
  } else if (typeof name === "number") {
    items[index] = setInFlow(items[index], rest, value);
  } else {
    const start = items[index].indexOf(":") + 1;
    const [before, after] = [items[index].slice(0, start), items[index].slice(start)];
    items[index] = before + (rest.length ? setInFlow(after, rest, value) : writeValue(after, value));
  }
  return text.slice(0, open + 1) + items.join(",") + text.slice(close);
}

function closing(text, open) {
  let depth = 0;
  for (let place = open; place < text.length; place += 1) {
    if ("{[".includes(text[place])) depth += 1;
    if ("}]".includes(text[place])) depth -= 1;
    if (depth === 0) return place;
  }
  return text.length;
}

function splitFlow(text) {
  const items = [];
  let depth = 0;
  let start = 0;
  for (let place = 0; place <= text.length; place += 1) {
    if ("{[".includes(text[place] ?? " ")) depth += 1;
    if ("}]".includes(text[place] ?? " ")) depth -= 1;
    if (place === text.length || (text[place] === "," && depth === 0)) {
      items.push(text.slice(start, place));
      start = place + 1;
    }
  }
  return items;
}

/** A value in the place of another, with the blanks and the comment around it. */
function writeValue(text, value) {
  const [, before, , after] = /^(\s*)([^\s#]*)(.*)$/.exec(text);
  return `${before || " "}${value}${after}`;
}

/** A new key: `a: {b: 1}`. */
function writeNew([name, ...rest], value) {
  if (!rest.length) return `${name}: ${value}`;
  return `${name}: {${writeNew(rest, value)}}`;
}

function matchKey(line, name, indent) {
  if (indentOf(line) !== indent) return null;
  const match = new RegExp(`^(\\s*${name}:)(.*)$`).exec(line);
  return match && {before: match[1], rest: match[2]};
}

function indentOf(line) {
  return isEmpty(line) ? Infinity : line.length - line.trimStart().length;
}

function isEmpty(line) {
  return line.trim() === "" || line.trimStart().startsWith("#");
}

/** The indentation of the first key within these lines. */
function ownIndent(lines, start, end, outer) {
  for (let place = start; place < end; place += 1) {
    if (!isEmpty(lines[place])) return indentOf(lines[place]);
  }
  return outer + 2;
}

function blockEnd(lines, start, end, indent) {
  let place = start + 1;
  while (place < end && (isEmpty(lines[place]) || indentOf(lines[place]) > indent
    || (indentOf(lines[place]) === indent && lines[place].trimStart().startsWith("- ")
      && !lines[start].trimStart().startsWith("- ")))) place += 1;
  return place;
}

/** Behind the last line that says something. */
function trimEnd(lines, start, end) {
  let place = end;
  while (place > start && lines[place - 1].trim() === "") place -= 1;
  return place;
}

function replaceLine(lines, place, line) {
  return lines.with(place, line);
}

function insertLine(lines, place, line) {
  return lines.toSpliced(place, 0, line);
}
