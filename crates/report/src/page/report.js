// The page of one image, top to bottom.

const report = pageData();
const tree = new FileTree(report);
const LAYER_COLORS = 10;
const BASE_COLORS = 3;

/** The colour of a layer as CSS has it: grey for the base's, a hue for each own. */
const layerVariables = (() => {
  let [base, own] = [0, 0];
  return report.layers.map((layer) => (layer.base ? `--base-${base++ % BASE_COLORS}` : `--layer-${own++ % LAYER_COLORS}`));
})();

const layerColor = (layer) => `var(${layerVariables[layer]})`;

/** The same for a canvas, which knows no variables. */
function resolvedColors() {
  const probe = document.body.appendChild(element("i"));
  const resolved = layerVariables.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return resolved;
}

function head() {
  const { name, id, platform, created } = report.image;
  const facts = [platform, id.replace("sha256:", "").slice(0, 12), created && `created ${created.slice(0, 10)}`];
  const words = element("div", {}, element("h1", {}, name), element("p", {}, facts.filter(Boolean).join(" · ")));
  return element("header", { class: "head" }, words, themeButton());
}

function figure(value, words, mark) {
  return element("div", { class: "figure" }, element("b", { class: mark }, value), element("span", {}, words));
}

function figures() {
  const { totals, own, base, packages } = report;
  const { exact } = totals.compressed;
  const all = [
    figure(size(totals.live), "live: what the image shows"),
    figure(size(totals.dead), `dead: shipped, never seen (${percent(totals.dead, totals.stored)})`, totals.dead ? "dead" : "good"),
    figure(size(totals.duplicate), "duplicates of other live files"),
    figure(exact === null ? "–" : size(exact), exact === null ? "compressed: never exported" : "compressed, to pull"),
    figure(packages.length.toLocaleString("en"), "packages"),
  ];
  const sides = base ? [["base image", base.sums, "var(--base-0)"], ["own layers", own, "var(--layer-0)"]] : [["all layers", own, "var(--layer-0)"]];
  const parts = sides.flatMap(([name, sums, color]) => [
    [`${name}, live`, sums.live, color, false],
    [`${name}, dead`, sums.dead, color, true],
  ]).concat([["tar headers and padding", Math.max(totals.overhead, 0), "var(--soft)", false]]).filter(([, bytes]) => bytes > 0);
  const look = (color, hatched) => ({ class: hatched ? "hatched" : undefined, style: { backgroundColor: color } });
  const strip = parts.map(([, bytes, color, hatched]) => {
    const piece = element("i", look(color, hatched));
    piece.style.flex = `${bytes} 0 0`;
    return piece;
  });
  const keys = parts.map(([name, bytes, color, hatched]) => element("span", {}, element("i", look(color, hatched)), `${name} ${size(bytes)}`));
  return element(
    "section", { class: "card", "aria-label": "Sums" },
    element("div", { class: "figures" }, all),
    element("div", { class: "strip", "aria-hidden": "true" }, strip),
    element("div", { class: "keys" }, keys),
  );
}

/** What there is to say of a node of the tree. */
function describe(node) {
  const lines = [element("b", {}, tree.path(node)), element("br"), `${size(tree.size(node))} · ${percent(tree.size(node), tree.size(0))} of what is shown`];
  if (node >= 0) lines.push(` · ${count(tree.counts[node], "file")}`);
  const layer = tree.layer(node);
  const swatch = element("i", { class: "swatch", style: { backgroundColor: layerColor(layer) } });
  lines.push(element("br"), swatch, node >= 0 ? `mostly ${report.layers[layer].text}` : report.layers[layer].text);
  if (node < 0) {
    const file = -1 - node;
    const { fate, by, package: owner } = report.files;
    if (fate[file] > 0) lines.push(element("br"), FATES[fate[file]], fate[file] > 1 ? ` by ${report.layers[by[file]].text}` : "");
    if (owner[file] >= 0) lines.push(element("br"), `package ${packageName(report.packages[owner[file]])}`);
  }
  return lines;
}

function packageName({ kind, name, version }) {
  return `${kind}: ${name} ${version}`.trim();
}

function treemapCard() {
  const crumbs = element("nav", { class: "crumbs", "aria-label": "Where the map is" });
  let colors = resolvedColors();
  themeChanges.unshift(() => (colors = resolvedColors()));
  const moved = (root) => {
    const chain = tree.chain(root);
    const crumb = (node) => element(
      "button",
      { type: "button", class: "cut", "aria-current": node === root ? "location" : null, click: () => map.open(node) },
      node === 0 ? "/" : `${tree.name(node)}/`,
    );
    crumbs.replaceChildren(...chain.map(crumb), element("span", { class: "soft" }, `${size(tree.size(root))}, ${count(tree.counts[root], "file")}`));
  };
  const map = new Treemap(tree, { colors: (layer) => colors[layer], describe, moved });
  moved(0);
  const views = choice("Files shown", [["live", "Live"], ["dead", "Dead"], ["all", "Both"]], "live", (view) => map.show(view));
  views.classList.add("end");
  const help = element("p", { class: "help", id: "treemap-help" }, "Click a directory to look into it. Keys: arrows choose, Enter opens, Escape goes up.");
  const section = card("Files", views, crumbs, map.frame, help);
  return [section, map];
}

/** What killed a layer's files: cause and layer, the largest first. */
function deaths(layer) {
  const { fate, by, size: sizes, layer: layers } = report.files;
  const sums = new Map();
  for (let file = 0; file < sizes.length; file += 1) {
    if (layers[file] !== layer || fate[file] < 2 || sizes[file] === 0) continue;
    const key = `${fate[file]} ${by[file]}`;
    sums.set(key, (sums.get(key) ?? 0) + sizes[file]);
  }
  return [...sums].sort((a, b) => b[1] - a[1]).map(([key, bytes]) => [...key.split(" ").map(Number), bytes]);
}

function layersCard(map) {
  const most = Math.max(...report.layers.map((layer) => layer.sums.stored), 1);
  const buttons = [];
  const row = (layer, number) => {
    const { stored, live, dead } = layer.sums;
    const press = () => {
      const on = buttons[number].getAttribute("aria-pressed") !== "true";
      for (const button of buttons) button.setAttribute("aria-pressed", "false");
      buttons[number].setAttribute("aria-pressed", String(on));
      map.highlight(on ? number : null);
    };
    const why = dead === 0 ? [] : deaths(number).slice(0, 3).map(([fate, by, bytes]) => element("div", { class: "why cut" }, `${size(bytes)} ${FATES[fate]} by ${report.layers[by].text}`));
    buttons[number] = element(
      "button", { type: "button", "aria-pressed": "false", title: layer.text, click: press },
      element("div", { class: "row" }, element("i", { class: "swatch", style: { backgroundColor: layerColor(number) } }), element("code", { class: "cut" }, layer.text), element("b", {}, size(stored))),
      bar(most, [{ part: live, color: layerColor(number) }, { part: dead, color: layerColor(number), hatched: true }]),
      why,
    );
    return element("li", {}, buttons[number]);
  };
  const { base } = report;
  const aside = element("span", { class: "soft end" }, base ? `${base.layers} of the base` : "base not known");
  return card("Layers", aside, element("ul", { class: "layers" }, report.layers.map(row)));
}

function deadCard() {
  const { files } = report;
  const dead = [...files.size.keys()].filter((file) => files.fate[file] >= 2 && files.size[file] > 0);
  if (dead.length === 0) return null;
  dead.sort((a, b) => files.size[b] - files.size[a]);
  const most = files.size[dead[0]];
  const row = (file) => () => [
    size(files.size[file]),
    bar(most, [{ part: files.size[file], color: layerColor(files.layer[file]), hatched: true }]),
    element("code", {}, tree.path(-1 - file)),
    FATES[files.fate[file]].replace("dead: ", ""),
    element("code", {}, report.layers[files.by[file]].text),
  ];
  const heads = [
    { title: "Size", class: "number" }, { title: "", class: "meter" }, { title: "File", class: "wide" },
    { title: "Why it is dead", class: "short" }, { title: "By", class: "wide" },
  ];
  const aside = element("span", { class: "soft" }, `${size(report.totals.dead)} in ${count(dead.length, "file")}`);
  return card("Dead bytes", aside, table(heads, dead.map(row)));
}

function packagesCard() {
  const { packages, unpackaged } = report;
  if (packages.length === 0) return null;
  const most = Math.max(...packages.map((one) => one.sums.live), 1);
  const row = (one) => () => [
    size(one.sums.live),
    bar(most, [{ part: one.sums.live, color: one.layer === null ? "var(--soft)" : layerColor(one.layer) }]),
    element("span", { class: "chip" }, one.kind),
    one.name,
    element("code", {}, one.version),
    one.layer === null ? "" : element("code", { class: "soft" }, report.layers[one.layer].text.slice(0, 90)),
  ];
  const heads = [
    { title: "Live", class: "number" }, { title: "", class: "meter" }, { title: "" },
    { title: "Package", class: "wide" }, { title: "Version", class: "wide" }, { title: "Instruction", class: "wide" },
  ];
  const place = element("div");
  const filter = element("input", { type: "search", placeholder: "Filter packages", "aria-label": "Filter packages", class: "end" });
  const draw = () => {
    const wanted = filter.value.toLowerCase();
    place.replaceChildren(table(heads, packages.filter((one) => packageName(one).toLowerCase().includes(wanted)).map(row)));
  };
  filter.addEventListener("input", draw);
  draw();
  const kinds = new Map();
  for (const { kind } of packages) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const aside = element("span", { class: "soft" }, [...kinds].map(([kind, number]) => `${number} ${kind}`).join(", "), ` · files of no package ${size(unpackaged.live)}`);
  const section = card("Packages", aside, place);
  section.firstChild.append(filter);
  return section;
}

function settingsCard() {
  const settings = report.image.config.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("code", {}, value))]);
  const history = report.instructions.flatMap(({ text, layer }) => [
    element("dt", {}, layer === null ? "no layer" : size(report.layers[layer].sums.stored)), element("dd", {}, element("code", {}, text)),
  ]);
  const part = (title, list) => element("details", {}, element("summary", {}, title), element("dl", { class: "settings" }, list));
  return element("section", { class: "card", "aria-label": "Settings" }, part("Settings", settings), element("p", {}, " "), part("History", history));
}

function notes() {
  const lines = [...report.notes];
  if (!report.build) lines.unshift("This image was not built here: what its build left behind is not known.");
  return element("footer", {}, lines.map((line) => element("p", {}, line)), element("p", {}, "Made by jettison report. Sizes are uncompressed, in units of 1000."));
}

function page() {
  const [files, map] = treemapCard();
  const built = report.build ? [stagesCard(report.build), timelineCard(report.build)] : [];
  const parts = [head(), figures(), element("div", { class: "beside" }, files, layersCard(map)), deadCard(), packagesCard(), ...built, settingsCard(), notes()];
  document.querySelector("main").append(...parts.filter(Boolean));
}

page();
