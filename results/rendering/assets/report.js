// Sorting, filtering, what stands in the address, and copying of what is shown.
document.documentElement.classList.add("scripted");
const state = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
const remember = (name, value) => {
  if (value) state.set(name, value);
  else state.delete(name);
  const view = state.toString();
  history.replaceState(null, "", location.href.split("#")[0] + (view && `#?${view}`));
};
const boards = [...document.querySelectorAll("main > section")];
const tables = [...document.querySelectorAll("table.sortable")];

// cells without a number stay at the end
const sortKey = (row, column) => {
  const cell = row.cells[column];
  if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
};
const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
const headingsOf = (table) => [...[...table.tHead.rows].at(-1).cells];
const sortBy = (table, column, order) => {
  const body = table.tBodies[0];
  const headings = headingsOf(table);
  for (const one of headings) one.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", order);
  const rows = [...body.rows].map((row) => [sortKey(row, column), row]);
  const known = rows.filter(([value]) => value !== null);
  known.sort(([a], [b]) => (order === "ascending" ? compare(a, b) : compare(b, a)));
  body.append(...known.map(([, row]) => row), ...rows.filter(([value]) => value === null).map(([, row]) => row));
};
tables.forEach((table, number) => {
  headingsOf(table).forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const first = heading.dataset.first || "descending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      sortBy(table, column, order);
      remember(`sort${number}`, `${column}.${order}`);
    });
  });
  const [column, order] = (state.get(`sort${number}`) || "").split(".");
  if (["ascending", "descending"].includes(order) && headingsOf(table)[column]) sortBy(table, Number(column), order);
});

const filterBoard = (section, text) => {
  const words = text.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  for (const one of section.querySelectorAll("[data-loss]")) {
    const names = `${one.dataset.loss} ${one.querySelector("th, a, span, summary, figcaption")?.textContent ?? ""}`.toLowerCase();
    one.hidden = words.length > 0 && !words.some((word) => names.includes(word));
  }
};
const showColumns = (table, shown) => {
  const groups = [...table.tHead.rows[0].cells].slice(1);
  const headings = headingsOf(table);
  let column = 1;
  const keep = [true];
  for (const group of groups) {
    const width = Number(group.dataset.width || group.colSpan);
    group.dataset.width = width;
    const setting = group.textContent.toLowerCase().startsWith(shown);
    let left = 0;
    for (let i = 0; i < width; i += 1, column += 1) {
      const name = headings[column].textContent;
      keep.push(shown === "all" || setting || name === shown || (name === "rank" && !/^(con|sep)/.test(shown)));
      left += keep.at(-1);
    }
    group.hidden = left === 0;
    group.colSpan = Math.max(left, 1);
  }
  for (const row of [...table.tHead.rows].slice(1).concat(...table.tBodies[0].rows))
    [...row.cells].forEach((cell, place) => { cell.hidden = !keep[place]; });
};

const cellText = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
const shownRows = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden)
  .map((row) => [...row.cells].filter((cell) => !cell.hidden));
const namesOf = (table) => {
  const groups = [...table.tHead.rows[0].cells].slice(1)
    .flatMap((cell) => Array(Number(cell.dataset.width || cell.colSpan)).fill(cell.textContent));
  return headingsOf(table).map((cell, place) => [cell, place]).filter(([cell]) => !cell.hidden)
    .map(([cell, place]) => (place ? `${groups[place - 1] || ""} ${cell.textContent}`.trim() : "loss"));
};
const tex = (text) => text.replace(/[\\{}&%$#_~^]/g, (sign) =>
  ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[sign] || `\\${sign}`)
  .replace(/±/g, "$\\pm$").replace(/–/g, "--");
const writers = {
  markdown: (head, rows) => [head, head.map((_, i) => (i ? "---:" : "---")), ...rows.map((row) => row.map((cell) => {
    const text = cellText(cell).replaceAll("|", "\\|");
    return cell.classList.contains("best") ? `**${text}**` : text;
  }))].map((row) => `| ${row.join(" | ")} |`).join("\n"),
  csv: (head, rows) => [head, ...rows.map((row) => row.map(cellText))]
    .map((row) => row.map((text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(",")).join("\n"),
  latex: (head, rows) => [
    "% needs \\usepackage{booktabs}", `\\begin{tabular}{l${"c".repeat(head.length - 1)}}`, "\\toprule",
    `${head.map(tex).join(" & ")} \\\\`, "\\midrule",
    ...rows.map((row) => `${row.map((cell) => {
      const text = tex(cellText(cell));
      return cell.classList.contains("best") ? `\\textbf{${text}}` : text;
    }).join(" & ")} \\\\`),
    "\\bottomrule", "\\end{tabular}"].join("\n"),
};
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
};
for (const section of boards) {
  const table = section.querySelector("table.sortable.scores");
  const filter = section.querySelector(".filter");
  const columns = section.querySelector(".columns");
  if (!table || !filter) continue;
  filter.value = state.get(`q.${section.id}`) || "";
  filter.addEventListener("input", () => {
    filterBoard(section, filter.value);
    remember(`q.${section.id}`, filter.value);
  });
  if (filter.value) filterBoard(section, filter.value);
  columns.addEventListener("change", () => {
    showColumns(table, columns.value);
    remember(`c.${section.id}`, columns.value === "all" ? "" : columns.value);
  });
  const asked = state.get(`c.${section.id}`);
  if ([...columns.options].some((option) => option.value === asked)) {
    columns.value = asked;
    showColumns(table, asked);
  }
  const told = section.querySelector(".copied");
  for (const button of section.querySelectorAll("[data-copy]"))
    button.addEventListener("click", async () => {
      const kind = button.dataset.copy;
      const text = kind === "bibtex" ? section.querySelector("template.bibtex").content.textContent
        : writers[kind](namesOf(table), shownRows(table));
      told.dataset.text = text;
      told.textContent = (await copy(text)) ? `Copied as ${button.textContent}.` : "The browser refuses to copy.";
    });
}

// panels have addresses of their own, and open ones are remembered
const openTarget = () => {
  if (location.hash.startsWith("#?")) return;
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
};
const panels = [...document.querySelectorAll("details.loss")];
const asked = (state.get("open") || "").split(" ");
for (const panel of panels) {
  if (asked.includes(panel.id)) panel.open = true;
  panel.addEventListener("toggle", () =>
    remember("open", panels.filter((one) => one.open).map((one) => one.id).join(" ")));
}
if (state.get("open")) document.getElementById(asked.at(-1))?.scrollIntoView();
addEventListener("hashchange", openTarget);
openTarget();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.how")) one.open = true;
});
