// The treemap: squarified (Bruls, Huizing, van Wijk 2000), drawn on a canvas no deeper than can be seen, so that an image
// of any number of files draws at once.

/** Cells with a shorter side than this are drawn together, in CSS pixels. */
const SMALLEST = 3;
/** The height of a directory's name. */
const CAPTION = 17;
/** Directories smaller than this have no caption. */
const CAPTIONED = { width: 46, height: 34 };

/** Lays `nodes` (the largest first) into a rectangle; `place` gets each node with its own. Returns how many fit. */
function squarify(nodes, sizeOf, { x, y, width, height }, place) {
  let left = nodes.reduce((sum, node) => sum + sizeOf(node), 0);
  let next = 0;
  while (next < nodes.length && width >= 1 && height >= 1) {
    const scale = (width * height) / left;
    const side = Math.min(width, height);
    const [end, sum] = bestRow(nodes, next, sizeOf, scale, side);
    const depth = (sum * scale) / side;
    if (depth < SMALLEST && next > 0) break;
    let offset = 0;
    for (; next < end; next += 1) {
      const length = (sizeOf(nodes[next]) * scale) / depth;
      if (width >= height) place(nodes[next], { x, y: y + offset, width: depth, height: length });
      else place(nodes[next], { x: x + offset, y, width: length, height: depth });
      offset += length;
    }
    if (width >= height) [x, width] = [x + depth, width - depth];
    else [y, height] = [y + depth, height - depth];
    left -= sum;
  }
  return { placed: next, rest: { x, y, width, height } };
}

/** Returns where the row that begins at `from` best ends, and its sum: cells as square as can be. */
function bestRow(nodes, from, sizeOf, scale, side) {
  const largest = sizeOf(nodes[from]) * scale;
  let [sum, worst] = [0, Infinity];
  for (let end = from; end < nodes.length; end += 1) {
    const smallest = sizeOf(nodes[end]) * scale;
    const area = (sum + sizeOf(nodes[end])) * scale;
    const ratio = Math.max((side * side * largest) / (area * area), (area * area) / (side * side * smallest));
    if (ratio > worst) return [end, sum];
    [sum, worst] = [sum + sizeOf(nodes[end]), ratio];
  }
  return [nodes.length, sum];
}

class Treemap {
  /** `colors(layer)` gives a colour, `describe(node)` the content of a tooltip, `moved(root)` is told of each move. */
  constructor(tree, { colors, describe, moved }) {
    Object.assign(this, { tree, colors, describe, moved, root: 0, cells: [], selected: null, layer: null });
    this.canvas = element("canvas", {
      tabindex: 0,
      role: "application",
      "aria-label": "Map of the files by size",
      "aria-describedby": "treemap-help",
      mousemove: (event) => this.point(event),
      mouseleave: () => this.hideTip(),
      click: (event) => this.click(event),
      keydown: (event) => this.key(event),
      focus: () => this.select(this.selected ?? this.inRoot()[0]),
      blur: () => this.hideTip(),
    });
    this.tip = element("div", { class: "tip", role: "status", "aria-live": "polite", hidden: true });
    this.frame = element("div", { class: "treemap" }, this.canvas, this.tip);
    new ResizeObserver(() => this.draw()).observe(this.frame);
    themeChanges.push(() => this.draw());
  }

  open(node) {
    this.root = node;
    this.selected = null;
    this.hideTip();
    this.draw();
    this.moved(node);
  }

  show(view) {
    this.tree.show(view);
    this.open(0);
  }

  /** Brings the files of one layer out; `null` for all. */
  highlight(layer) {
    this.layer = layer;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const density = window.devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [Math.round(width * density), Math.round(height * density)];
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(density, density);
    this.style = paints(this.canvas, this.pen);
    this.cells = [];
    this.pen.font = `12.5px ${this.style.font}`;
    this.pen.textBaseline = "middle";
    this.fill(this.root, { x: 0, y: 0, width, height }, 0);
    if (this.cells.length === 0) this.nothing(width, height);
    this.outline();
  }

  /** Draws the content of a directory. */
  fill(directory, rectangle, depth) {
    const { tree } = this;
    const children = tree.children(directory);
    const { placed, rest } = squarify(children, (node) => tree.size(node), rectangle, (node, place) => {
      this.cells.push({ node, parent: directory, ...place });
      if (node < 0 || Math.min(place.width, place.height) < 2 * SMALLEST) this.leaf(node, place);
      else this.directory(node, place, depth);
    });
    if (placed < children.length && rest.width > 0 && rest.height > 0) this.leaf(children[placed], rest, false);
  }

  directory(node, place, depth) {
    const captioned = place.width >= CAPTIONED.width && place.height >= CAPTIONED.height;
    const { x, y, width, height } = place;
    if (captioned) {
      this.pen.fillStyle = this.style.caption;
      this.pen.fillRect(x + 0.5, y + 0.5, width - 1, height - 1);
      this.label(`${this.tree.name(node)}/`, { x, y, width, height: CAPTION + 2 }, this.style.ink, size(this.tree.size(node)));
      this.fill(node, { x: x + 2, y: y + CAPTION + 1, width: width - 4, height: height - CAPTION - 3 }, depth + 1);
    } else {
      this.fill(node, { x: x + 0.5, y: y + 0.5, width: width - 1, height: height - 1 }, depth + 1);
    }
  }

  leaf(node, { x, y, width, height }, named = true) {
    const layer = this.tree.layer(node);
    const gap = Math.min(width, height) > 5 ? 0.5 : 0.15;
    const box = [x + gap, y + gap, Math.max(width - 2 * gap, 0.3), Math.max(height - 2 * gap, 0.3)];
    this.pen.globalAlpha = this.layer === null || this.layer === layer ? 1 : 0.16;
    this.pen.fillStyle = this.colors(layer);
    this.pen.fillRect(...box);
    if (this.tree.isDead(node) || this.tree.view === "dead") {
      this.pen.fillStyle = this.style.stripes;
      this.pen.fillRect(...box);
    }
    if (named) this.label(this.tree.name(node), { x, y, width, height }, this.style.cellInk, size(this.tree.size(node)));
    this.pen.globalAlpha = 1;
  }

  /** Writes a name where it has room, and the size after or below it where that has, too. */
  label(text, { x, y, width, height }, color, bytes) {
    if (width < 34 || height < 15) return;
    const name = this.shortened(text, width - 10);
    if (!name) return;
    this.pen.fillStyle = color;
    const middle = height > 34 ? y + 12 : y + height / 2 + 0.5;
    this.pen.fillText(name, x + 5, middle);
    const [used, needed] = [this.pen.measureText(name).width, this.pen.measureText(bytes).width];
    this.pen.globalAlpha *= 0.68;
    if (height > 34 && needed < width - 10) this.pen.fillText(bytes, x + 5, y + 27);
    else if (height <= 34 && used + needed + 22 < width) this.pen.fillText(bytes, x + width - needed - 6, middle);
    this.pen.globalAlpha /= 0.68;
  }

  shortened(text, width) {
    if (this.pen.measureText(text).width <= width) return text;
    let [low, high] = [0, Math.min(text.length, 200)];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.pen.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
      else high = middle - 1;
    }
    return low >= 2 ? `${text.slice(0, low)}…` : null;
  }

  nothing(width, height) {
    this.pen.fillStyle = this.style.ink;
    const text = this.tree.view === "dead" ? "No dead bytes: everything stored is shown." : "No files.";
    this.pen.fillText(text, width / 2 - this.pen.measureText(text).width / 2, height / 2);
  }

  outline() {
    const cell = this.cells.find(({ node }) => node === this.selected);
    if (!cell) return;
    for (const [color, line] of [[this.style.paper, 5], [this.style.accent, 2.5]]) {
      this.pen.strokeStyle = color;
      this.pen.lineWidth = line;
      this.pen.strokeRect(cell.x + 2, cell.y + 2, Math.max(cell.width - 4, 2), Math.max(cell.height - 4, 2));
    }
  }

  /** The innermost cell at a point. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return this.cells.findLast((cell) => x >= cell.x && y >= cell.y && x < cell.x + cell.width && y < cell.y + cell.height);
  }

  point(event) {
    const cell = this.at(event);
    if (!cell) return this.hideTip();
    this.showTip(cell.node, event.clientX + 14, event.clientY + 16);
  }

  click(event) {
    const cell = this.at(event);
    if (!cell) return;
    const target = cell.node >= 0 ? cell.node : cell.parent;
    if (target !== this.root) this.open(target);
    else this.select(cell.node);
  }

  inRoot() {
    return this.tree.children(this.root);
  }

  select(node) {
    if (node === undefined) return;
    this.selected = node;
    this.draw();
    const cell = this.cells.find((drawn) => drawn.node === node);
    if (!cell) return;
    const box = this.canvas.getBoundingClientRect();
    this.showTip(node, box.left + cell.x + Math.min(cell.width, 40), box.top + cell.y + Math.min(cell.height, 40));
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { selected } = this;
    if (event.key in arrows) this.step(...arrows[event.key]);
    else if (event.key === "Enter" && selected !== null && selected >= 0) {
      this.open(selected);
      this.select(this.inRoot()[0]);
    } else if ((event.key === "Escape" || event.key === "Backspace") && this.root !== 0) {
      const from = this.root;
      this.open(this.tree.parent(from));
      this.select(from);
    } else return;
    event.preventDefault();
  }

  /** Selects the nearest cell of the same directory in a direction. */
  step(right, down) {
    const siblings = this.cells.filter((cell) => cell.parent === this.root);
    const from = siblings.find((cell) => cell.node === this.selected) ?? siblings[0];
    if (!from) return;
    const middle = (cell) => [cell.x + cell.width / 2, cell.y + cell.height / 2];
    const [x, y] = middle(from);
    let best = [from, Infinity];
    for (const cell of siblings) {
      const [dx, dy] = [middle(cell)[0] - x, middle(cell)[1] - y];
      const ahead = dx * right + dy * down;
      const aside = Math.abs(dx * down) + Math.abs(dy * right);
      if (cell !== from && ahead > 0.5 && ahead + 2 * aside < best[1]) best = [cell, ahead + 2 * aside];
    }
    this.select(best[0].node);
  }

  showTip(node, x, y) {
    this.tip.replaceChildren(...this.describe(node));
    this.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    this.tip.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 12))}px`;
    this.tip.style.top = `${Math.max(8, y + height + 12 > innerHeight ? y - height - 30 : y)}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }
}

/** The colours of the theme as a canvas understands them. */
function paints(canvas, pen) {
  const probe = element("i");
  canvas.parentElement.append(probe);
  const resolve = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const [paper, ink, cellInk, accent, caption, stripe] = ["--card", "--ink", "--cell-ink", "--accent", "--track", "--stripe"].map(resolve);
  const font = getComputedStyle(canvas).fontFamily;
  probe.remove();
  return { paper, ink, cellInk, accent, caption, font, stripes: stripes(pen, stripe) };
}

/** The pattern that marks the dead, as `.hatched` does in bars. */
function stripes(pen, color) {
  const tile = element("canvas", { width: 8, height: 8 });
  const brush = tile.getContext("2d");
  brush.strokeStyle = color;
  brush.lineWidth = 2.6;
  for (const shift of [-8, 0, 8]) {
    brush.moveTo(shift - 2, 10);
    brush.lineTo(shift + 10, -2);
  }
  brush.stroke();
  return pen.createPattern(tile, "repeat");
}
