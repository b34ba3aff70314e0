// Elements and words that all parts of the pages use. Text from an image only ever becomes a text node.

/** Makes an element: `element("p", {class: "soft"}, "text", child, ...)`. Properties that are functions are listeners. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  return furnish(made, properties, children);
}

/** The same for SVG. */
function shape(name, properties = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  return furnish(made, properties, children);
}

function furnish(made, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "style") Object.assign(made.style, value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Formats bytes in units of 1000 with three digits, as the terminal does. */
function size(bytes) {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 999.5 && unit + 1 < UNITS.length) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value < 9.995 ? 2 : 1;
  return `${bytes < 0 ? "−" : ""}${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** The same with a sign. */
function change(bytes) {
  return bytes > 0 ? `+${size(bytes)}` : bytes < 0 ? size(bytes) : "±0";
}

function seconds(value) {
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  return value < 99.5 ? `${value.toFixed(value < 9.95 ? 2 : 1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

function percent(part, whole) {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "–";
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Makes a card with a heading. */
function card(title, aside, ...content) {
  const heading = element("div", { class: "title" }, element("h2", {}, title), aside);
  return element("section", { class: "card", "aria-label": title }, heading, ...content);
}

/** Makes a table; `rows` is drawn up to `limit` at first. Each row is a list of cells: nodes, or texts. */
function table(heads, rows, limit = 12) {
  const body = element("tbody");
  const cell = (content, index) => element("td", { class: heads[index].class }, content);
  const row = (cells) => element("tr", {}, cells().map(cell));
  const draw = (from, to) => body.append(...rows.slice(from, to).map(row));
  draw(0, limit);
  const head = element("tr", {}, heads.map((column) => element("th", { class: column.class, scope: "col" }, column.title)));
  const whole = element("div", {}, element("table", { class: "table" }, element("thead", {}, head), body));
  if (rows.length > limit) {
    const step = () => {
      const drawn = body.rows.length;
      draw(drawn, drawn + 500);
      if (body.rows.length >= rows.length) more.remove();
      else more.textContent = label();
    };
    const label = () => {
      const left = rows.length - body.rows.length;
      return left > 500 ? `Show 500 of ${left.toLocaleString("en")} more` : `Show ${left} more`;
    };
    const more = element("button", { class: "more", type: "button", click: step }, label());
    whole.append(more);
  }
  return whole;
}

/** Makes a bar of parts `{part, color, hatched}`, `whole` wide in all. */
function bar(whole, parts) {
  const piece = ({ part, color, hatched }) => {
    const width = `${(100 * part) / Math.max(whole, 1)}%`;
    return element("i", { class: hatched ? "hatched" : undefined, style: { width, backgroundColor: color } });
  };
  return element("div", { class: "bar" }, parts.filter((one) => one.part > 0).map(piece));
}

/** One of several buttons is pressed. */
function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) => {
    const press = () => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
      choose(value);
    };
    return element("button", { type: "button", "data-value": value, "aria-pressed": String(value === chosen), click: press }, text);
  });
  return element("span", { class: "choice", role: "group", "aria-label": label }, buttons);
}

const themeChanges = [];

/** The button that changes between light and dark; the first comes from the system. */
function themeButton() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const announce = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    for (const changed of themeChanges) changed();
  };
  const toggle = () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    announce();
  };
  const button = element("button", { type: "button", id: "theme", "aria-label": "Change between light and dark", click: toggle });
  system.addEventListener("change", announce);
  announce();
  return button;
}

/** The data that the page came with. */
function pageData() {
  return JSON.parse(document.getElementById("data").textContent);
}
