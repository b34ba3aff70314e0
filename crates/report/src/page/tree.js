// The tree of the image's files, from the columns that the page came with. Directories are numbered so that parents come
// before their children; what is a number below is a directory, or a file as `-1 - number`.

/** Which files a view shows. */
const VIEWS = {
  live: (fate) => fate < 2,
  dead: (fate) => fate >= 2,
  all: () => true,
};

/** What became of a file, in the order of the numbers in the data. */
const FATES = ["live", "live, a copy of an earlier file", "dead: overwritten", "dead: deleted", "dead: copied for mode, owner or time", "dead: rewritten the same"];

class FileTree {
  constructor({ directories, files }) {
    this.directories = directories;
    this.files = files;
    this.content = directories.name.map(() => []);
    directories.parent.forEach((parent, number) => number > 0 && this.content[parent].push(number));
    files.directory.forEach((directory, number) => this.content[directory].push(-1 - number));
    this.show("live");
  }

  /** Chooses what is shown and adds it up. */
  show(view) {
    const { directory, size, fate } = this.files;
    const shown = VIEWS[view];
    this.view = view;
    this.bytes = new Float64Array(this.content.length);
    this.counts = new Uint32Array(this.content.length);
    for (let file = 0; file < size.length; file += 1) {
      if (!shown(fate[file])) continue;
      this.bytes[directory[file]] += size[file];
      this.counts[directory[file]] += 1;
    }
    for (let number = this.content.length - 1; number > 0; number -= 1) {
      this.bytes[this.directories.parent[number]] += this.bytes[number];
      this.counts[this.directories.parent[number]] += this.counts[number];
    }
    this.sorted = new Map();
    this.most = new Map();
  }

  size(node) {
    if (node >= 0) return this.bytes[node];
    const file = -1 - node;
    return VIEWS[this.view](this.files.fate[file]) ? this.files.size[file] : 0;
  }

  /** What a directory shows, the largest first. */
  children(node) {
    if (node < 0) return [];
    if (!this.sorted.has(node)) {
      const shown = this.content[node].filter((child) => this.size(child) > 0);
      this.sorted.set(node, shown.sort((a, b) => this.size(b) - this.size(a)));
    }
    return this.sorted.get(node);
  }

  name(node) {
    return node >= 0 ? this.directories.name[node] : this.files.name[-1 - node];
  }

  parent(node) {
    return node >= 0 ? this.directories.parent[node] : this.files.directory[-1 - node];
  }

  /** A node with all above it, from the root. */
  chain(node) {
    const chain = [node];
    for (let at = node; at !== 0; ) {
      at = this.parent(at);
      chain.unshift(at);
    }
    return chain;
  }

  path(node) {
    if (node === 0) return "/";
    return this.chain(node).slice(1).map((part) => `/${this.name(part)}`).join("");
  }

  /** The layer that has most bytes of a node: the colour of a directory that is too small to look into. */
  layer(node) {
    if (node < 0) return this.files.layer[-1 - node];
    if (!this.most.has(node)) {
      const sums = new Map();
      this.addLayers(node, sums);
      let most = [0, -1];
      for (const [layer, bytes] of sums) if (bytes > most[1]) most = [layer, bytes];
      this.most.set(node, most[0]);
    }
    return this.most.get(node);
  }

  addLayers(node, sums) {
    for (const child of this.children(node)) {
      if (child >= 0) this.addLayers(child, sums);
      else sums.set(this.layer(child), (sums.get(this.layer(child)) ?? 0) + this.size(child));
    }
  }

  isDead(node) {
    return node < 0 && this.files.fate[-1 - node] >= 2;
  }
}
