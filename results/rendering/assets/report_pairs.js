// The matrix of all pairs: another metric, one loss against the others, and a read-out by pointer, keyboard and touch.
// A pair: difference, its ends, P, its ends, flags (1 told apart, 2 meaningful, 4 alike within the margin).
const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const shapeOf = (pair) => {
  if (!(pair[6] & 1)) return pair[6] & 4 ? "≈" : "·";
  return pair[0] > 0 ? (pair[6] & 2 ? "▲" : "△") : pair[6] & 2 ? "▼" : "▽";
};
const kindOf = (pair) => (pair[6] & 1 ? (pair[0] > 0 ? "better" : "worse") : "level");
const verdict = { better: "surely better", worse: "surely worse", level: "cannot be told apart" };
const svg = (name, attributes) => {
  const one = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  return one;
};
for (const block of document.querySelectorAll(".compare")) {
  const data = JSON.parse(block.querySelector("script").textContent);
  const [which, one] = [block.querySelector(".contest"), block.querySelector(".one")];
  const [scroll, table] = [block.querySelector(".scroll"), block.querySelector("table")];
  const [against, readout] = [block.querySelector(".against"), block.querySelector(".readout")];
  const count = data.losses.length;
  const pairOf = (row, column) => {
    const [low, high] = row < column ? [row, column] : [column, row];
    const found = data.contests[which.selectedIndex].pairs[low * count - (low * (low + 1)) / 2 + high - low - 1];
    if (row < column) return found;
    const [difference, below, above, share, from, to, flags] = found;
    return [-difference, -above, -below, 1 - share, 1 - to, 1 - from, flags];
  };
  const told = (row, column) => {
    const pair = pairOf(row, column);
    return `${data.titles[row]} − ${data.titles[column]}: ${signed(pair[0])} (${signed(pair[1])} to ${signed(pair[2])}), ` +
      `P ${pair[3].toFixed(2)} (${pair[4].toFixed(2)}–${pair[5].toFixed(2)})${pair[6] & 2 ? " *" : ""}; ` +
      `${verdict[kindOf(pair)]}${pair[6] & 4 ? ", alike within the margin" : ""}.`;
  };
  const cells = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1));
  let current = [0, 1];
  const point = (row, column, focus) => {
    if (row < 0 || column < 0 || row >= count || column >= count) return;
    cells[current[0]][current[1]].tabIndex = -1;
    current = [row, column];
    cells[row][column].tabIndex = 0;
    if (focus) cells[row][column].focus();
    if (row !== column) readout.textContent = told(row, column);
  };
  cells.forEach((line, row) => line.forEach((cell, column) => {
    cell.tabIndex = row === 0 && column === 1 ? 0 : -1;
    cell.addEventListener("pointerenter", () => { if (row !== column) readout.textContent = told(row, column); });
    cell.addEventListener("click", () => point(row, column, true));
    cell.addEventListener("focus", () => point(row, column, false));
  }));
  table.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !event.target.matches("td")) return;
    event.preventDefault();
    point(current[0] + step[0], current[1] + step[1], true);
  });
  const matrix = () => cells.forEach((line, row) => line.forEach((cell, column) => {
    if (row === column) return;
    const pair = pairOf(row, column);
    cell.className = kindOf(pair);
    cell.replaceChildren(shapeOf(pair), document.createElement("br"), signed(pair[0], 1));
  }));
  const drawAgainst = () => {
    const row = Number(one.value);
    const others = data.losses.map((_, place) => place).filter((place) => place !== row);
    const ends = others.flatMap((place) => pairOf(row, place).slice(1, 3)).concat(0);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const at = (value) => `${(2 + (96 * (value - low)) / (high - low || 1)).toFixed(2)}%`;
    const list = document.createElement("ul");
    for (const place of others) {
      const pair = pairOf(row, place);
      const line = document.createElement("li");
      line.className = kindOf(pair);
      const name = document.createElement("span");
      name.textContent = `− ${data.titles[place]}`;
      name.title = data.losses[place];
      const picture = svg("svg", { role: "img", "aria-label": told(row, place) });
      picture.append(
        svg("line", { class: "zero", x1: at(0), x2: at(0), y2: 22 }),
        svg("line", { class: "seeds", x1: at(pair[1]), x2: at(pair[2]), y1: 11, y2: 11 }),
        svg("circle", { cx: at(pair[0]), cy: 11, r: 4.5 }));
      const number = document.createElement("output");
      number.textContent = `${shapeOf(pair)} ${signed(pair[0])}`;
      line.append(name, picture, number);
      line.addEventListener("pointerenter", () => { readout.textContent = told(row, place); });
      list.append(line);
    }
    const head = document.createElement("p");
    head.textContent = `${data.titles[row]} minus each other loss, ${which.value}: percent points with 95 % intervals.`;
    against.replaceChildren(head, list);
  };
  const draw = () => {
    const alone = one.value !== "";
    [scroll.hidden, against.hidden] = [alone, !alone];
    if (alone) drawAgainst();
    else matrix();
    remember(`m.${block.dataset.name}`, which.selectedIndex ? which.value : "");
    remember(`vs.${block.dataset.name}`, alone ? data.losses[Number(one.value)] : "");
  };
  const metric = data.contests.findIndex((contest) => contest.name === state.get(`m.${block.dataset.name}`));
  if (metric > 0) which.selectedIndex = metric;
  const loss = data.losses.indexOf(state.get(`vs.${block.dataset.name}`));
  if (loss >= 0) one.value = String(loss);
  if (metric > 0 || loss >= 0) draw();
  which.addEventListener("change", draw);
  one.addEventListener("change", draw);
}
