// What is compared, as the part of the address behind `#`: a link is a saved comparison, and the
// browser does not send that part to any server.

const DEFAULTS = {
  view: "compare", index: "", q: "", body: "", a: "", b: "", size: "10", title: "", fields: "",
  image: "", wait: "1", w: "", lex: "", guard: "", cut: "",
};

export function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = {...DEFAULTS};
  for (const name of Object.keys(DEFAULTS)) {
    if (given.has(name)) state[name] = given.get(name).slice(0, 20000);
  }
  return state;
}

/** Write the state into the address; with `replace`, the browser's Back button skips it. */
export function writeState(state, replace = false) {
  const pairs = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
  const hash = `#${new URLSearchParams(pairs)}`;
  if (hash === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", hash);
}

export const SETTINGS = ["w", "lex", "guard", "cut"];
