// The page that has two images side by side.

const diff = pageData();
const { before, after } = diff;

function head() {
  const facts = (side) => `${side.image.name} · ${side.image.platform} · ${side.image.id.replace("sha256:", "").slice(0, 12)}`;
  const words = element("div", {}, element("h1", {}, `${before.image.name} → ${after.image.name}`), element("p", {}, facts(before)), element("p", {}, facts(after)));
  return element("header", { class: "head" }, words, themeButton());
}

/** Growth is marked as bad, shrinking as good. */
function mark(growth) {
  return growth > 0 ? "dead" : growth < 0 ? "good" : "soft";
}

/** A row of two bars and what changed. */
function comparison(name, of, format, changed) {
  const [a, b] = [of(before), of(after)];
  const most = Math.max(a, b);
  const side = (value, color) => element("div", { class: "pair" }, bar(most, [{ part: value, color }]), element("b", { class: "right" }, format(value)));
  return [
    element("span", {}, name),
    element("div", {}, side(a, "var(--base-0)"), side(b, "var(--layer-0)")),
    element("b", { class: `right ${mark(b - a)}` }, changed(b - a)),
  ];
}

function figuresCard() {
  const number = (value) => value.toLocaleString("en");
  const more = (value) => `${value > 0 ? "+" : ""}${number(value)}`;
  const longer = (value) => `${value > 0 ? "+" : value < 0 ? "−" : "±"}${seconds(Math.abs(value))}`;
  const rows = [
    comparison("Stored", (side) => side.totals.stored, size, change),
    comparison("Live", (side) => side.totals.live, size, change),
    comparison("Dead", (side) => side.totals.dead, size, change),
    comparison("Compressed", (side) => side.costs.compressed, size, change),
    comparison("Layers", (side) => side.layers, number, more),
    comparison("Files", (side) => side.files, number, more),
    comparison("Packages", (side) => side.packages, number, more),
    comparison("Pull at 100 Mbit/s", (side) => side.costs.pull_seconds, seconds, longer),
    comparison("Pull where the other image is", (side) => side.costs.pull_new_seconds, seconds, longer),
    comparison("Unpack, measured here", (side) => side.costs.unpack_seconds, seconds, longer),
  ];
  const key = (color, name) => element("span", {}, element("i", { style: { backgroundColor: color } }), name);
  const keys = element("span", { class: "keys" }, key("var(--base-0)", before.image.name), key("var(--layer-0)", after.image.name));
  return card("Figures", keys, element("div", { class: "comparisons" }, rows));
}

/** What happened to something that is or is not in each image. */
function verb(was, is) {
  const [word, look] = !was ? ["added", "dead"] : !is ? ["removed", "good"] : ["changed", "soft"];
  return element("span", { class: `chip ${look}` }, word);
}

function counts(list, was, is) {
  const added = list.filter((one) => !was(one)).length;
  const removed = list.filter((one) => !is(one)).length;
  return element("span", { class: "soft" }, `${added} added, ${removed} removed, ${list.length - added - removed} changed`);
}

function packagesCard() {
  const [was, is] = [(one) => one.before.length > 0, (one) => one.after.length > 0];
  const row = (one) => () => [
    verb(was(one), is(one)), one.kind, one.name, element("code", {}, one.before.join(", ")), element("code", {}, one.after.join(", ")),
    element("span", { class: mark(one.bytes_after - one.bytes_before) }, change(one.bytes_after - one.bytes_before)),
  ];
  if (diff.packages.length === 0) return card("Packages", element("span", { class: "soft" }, "the same in both"));
  const heads = [{ title: "" }, { title: "Kind" }, { title: "Package", class: "wide" }, { title: "Before", class: "wide" }, { title: "After", class: "wide" }, { title: "Bytes", class: "number" }];
  return card("Packages", counts(diff.packages, was, is), table(heads, diff.packages.map(row), 20));
}

function settingsCard() {
  if (diff.config.length === 0) return null;
  const row = ({ name, before: was, after: is }) => () => [verb(was !== null, is !== null), name, element("code", {}, was ?? ""), element("code", {}, is ?? "")];
  const heads = [{ title: "" }, { title: "Setting", class: "wide" }, { title: "Before", class: "wide" }, { title: "After", class: "wide" }];
  return card("Settings", null, table(heads, diff.config.map(row), 50));
}

function filesCard() {
  const growth = (file) => (file.after ?? 0) - (file.before ?? 0);
  const files = [...diff.files].sort((a, b) => Math.abs(growth(b)) - Math.abs(growth(a)));
  const [was, is] = [(file) => file.before !== null, (file) => file.after !== null];
  const most = Math.max(...files.slice(0, 1).map((file) => Math.abs(growth(file))), 1);
  const row = (file) => () => [
    element("span", { class: mark(growth(file)) }, change(growth(file))),
    bar(most, [{ part: Math.abs(growth(file)), color: growth(file) > 0 ? "var(--dead)" : "var(--good)" }]),
    verb(was(file), is(file)), element("code", {}, file.path), file.what.join(", "),
  ];
  const heads = [{ title: "Bytes", class: "number" }, { title: "", class: "meter" }, { title: "" }, { title: "Path", class: "wide" }, { title: "What changed", class: "short" }];
  const place = element("div");
  const filter = element("input", { type: "search", placeholder: "Filter paths", "aria-label": "Filter paths", class: "end" });
  const draw = () => place.replaceChildren(table(heads, files.filter((file) => file.path.includes(filter.value)).map(row), 25));
  filter.addEventListener("input", draw);
  draw();
  const section = card("Paths", counts(files, was, is), place);
  section.firstChild.append(filter);
  return section;
}

const end = element("footer", {}, element("p", {}, "Made by jettison diff. Paths that differ in time only are not listed."));
document.querySelector("main").append(...[head(), figuresCard(), packagesCard(), settingsCard(), filesCard(), end].filter(Boolean));
