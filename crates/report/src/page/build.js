// What the build remembers: its stages with what was left behind, and when its steps ran.

const BOX = { width: 200, height: 74, gapX: 76, gapY: 22, margin: 4 };

/** Which stages a stage takes something from. */
function stageSources(build) {
  const sources = build.stages.map(() => new Set());
  for (const step of build.steps) {
    if (step.stage === null) continue;
    for (const input of step.inputs) {
      const from = build.steps[input]?.stage;
      if (from !== null && from !== undefined && from !== step.stage) sources[step.stage].add(from);
    }
  }
  return sources;
}

/** Gives each stage a column right of all that it takes from. */
function stageColumns(sources) {
  const columns = sources.map(() => 0);
  // Stages only take from earlier ones.
  sources.forEach((from, stage) => {
    for (const source of from) columns[stage] = Math.max(columns[stage], columns[source] + 1);
  });
  return columns;
}

/** Places the boxes of stages, each column in the middle of the height. */
function stagePlaces(columns) {
  const counts = [];
  for (const column of columns) counts[column] = (counts[column] ?? 0) + 1;
  const [stepX, stepY] = [BOX.width + BOX.gapX, BOX.height + BOX.gapY];
  const rows = Math.max(...counts);
  const used = counts.map(() => 0);
  const places = columns.map((column) => {
    const row = used[column]++ + (rows - counts[column]) / 2;
    return { x: BOX.margin + column * stepX, y: BOX.margin + row * stepY };
  });
  return { places, width: 2 * BOX.margin + counts.length * stepX - BOX.gapX, height: 2 * BOX.margin + rows * stepY - BOX.gapY };
}

function stagesCard(build) {
  const sources = stageSources(build);
  const columns = stageColumns(sources);
  const { places, width, height } = stagePlaces(columns);
  const most = Math.max(...build.stages.map((stage) => stage.bytes ?? 0), 1);
  const arrows = sources.flatMap((from, stage) => [...from].map((source) => arrow(places[source], places[stage])));
  const boxes = build.stages.map((stage, number) => stageBox(stage, places[number], most));
  const left = build.stages.filter((stage) => stage.left_behind);
  const words = left.length === 0 ? "one stage: nothing was left behind" : `${size(build.left_behind)} in ${count(left.length, "stage")} left behind, what they share counted once`;
  const drawing = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Stages of the build: ${words}` }, arrows, boxes);
  return card("Stages", element("span", { class: "soft" }, words), element("div", { class: "stages" }, drawing));
}

function stageBox(stage, { x, y }, most) {
  const mark = stage.left_behind ? "" : " target";
  const bytes = stage.bytes === null ? "size not known" : size(stage.bytes);
  const inner = BOX.width - 28;
  const name = stage.name.length > 24 ? `${stage.name.slice(0, 23)}…` : stage.name;
  return shape(
    "g", { transform: `translate(${x} ${y})` },
    shape("title", {}, `${stage.name}: ${bytes}`),
    shape("rect", { class: `box${mark}`, width: BOX.width, height: BOX.height, rx: 9 }),
    shape("text", { x: 14, y: 26, "font-weight": 600 }, name),
    shape("text", { x: 14, y: 46, class: "soft" }, `${bytes}${stage.target ? " · the image" : stage.left_behind ? " · left behind" : " · below the image"}`),
    shape("rect", { class: "track", x: 14, y: 56, width: inner, height: 6, rx: 3 }),
    shape("rect", { class: `fill${mark}`, x: 14, y: 56, width: Math.max((inner * (stage.bytes ?? 0)) / most, 2), height: 6, rx: 3 }),
  );
}

function arrow(from, to) {
  const [x1, y1] = [from.x + BOX.width, from.y + BOX.height / 2];
  const [x2, y2] = [to.x - 7, to.y + BOX.height / 2];
  const bend = (x1 + x2) / 2;
  return shape(
    "g", {},
    shape("path", { class: "arrow", d: `M${x1} ${y1} C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}` }),
    shape("path", { class: "arrow-head", d: `M${x2} ${y2 - 5} L${x2 + 7} ${y2} L${x2} ${y2 + 5} Z` }),
  );
}

function timelineCard(build) {
  const whole = Math.max(build.seconds, ...build.steps.map((step) => step.start + step.seconds), 0.001);
  const lane = (step) => {
    const place = { left: `${(100 * step.start) / whole}%`, width: `${(100 * step.seconds) / whole}%` };
    const color = step.stage === null ? "var(--base-0)" : `var(--layer-${step.stage % LAYER_COLORS})`;
    const piece = element("i", { class: step.cached ? "cached" : undefined, style: { ...place, backgroundColor: step.cached ? "" : color } });
    const saved = step.cached && step.executed_seconds ? `, saved ${seconds(step.executed_seconds)}` : "";
    const took = step.cached ? "cached" : seconds(step.seconds);
    return [
      element("code", { class: "cut", title: step.name }, step.name),
      element("div", { class: "lane", title: `${took}${saved}, after ${seconds(step.start)}` }, piece),
      element("span", { class: "soft right" }, took),
    ];
  };
  const began = new Date(build.started * 1000).toISOString().replace("T", " ").slice(0, 16);
  const aside = element("span", { class: "soft" }, `${seconds(build.seconds)}, begun ${began} UTC`);
  return card("Timeline of the build", aside, element("div", { class: "timeline" }, build.steps.map(lane)));
}
