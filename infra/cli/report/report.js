// The table of jobs: searched, filtered and sorted as a whole, shown a page at a time.

const PAGE = 100;
const COLUMNS = [
  ["day", "Day", (row) => row.day, "text day"],
  ["name", "Upload", nameCell, "text name"],
  ["state", "Outcome", (row) => row.state.replaceAll("_", " "), "text"],
  ["method", "Method", (row) => row.method, "text"],
  ["audio_seconds", "Audio", (row) => (row.audio_seconds ? clock(row.audio_seconds * 1000) : "-")],
  ["usd", "Cost", (row) => money(row.usd)],
  ["deepgram_usd", "Deepgram", (row) => money(row.deepgram_usd)],
  ["wait_seconds", "Wait", (row) => seconds(row.wait_seconds)],
  ["x_real_time", "x real time", (row) => (row.x_real_time === null ? "-" : row.x_real_time.toFixed(1))],
  ["coverage", "Coverage", (row) => (row.coverage === null ? "-" : `${(Math.floor(row.coverage * 1000) / 10).toFixed(1)}%`)],
  ["fallbacks", "Fallbacks", (row) => String(row.fallbacks)],
  ["rule", "Decision", decisionCell, "text"],
];
const shown = { wanted: "", state: "", method: "", folder: "", by: "day", descending: true, page: 0 };

/** As `dropscribe costs` writes it. */
function money(usd) {
  return usd === null ? "-" : `${usd < 0 ? "-" : ""}$${Math.abs(usd).toFixed(Math.abs(usd) < 1 ? 4 : 2)}`;
}

function seconds(number) {
  if (number === null) return "-";
  return number < 60 ? `${number.toFixed(1)} s` : clock(number * 1000);
}

/** Text from outside: what turns the writing direction, or cannot be seen, is shown as its code. */
function printable(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`);
}

function nameCell(row) {
  const name = element("bdi", { textContent: row.name === null ? row.id : printable(row.name) });
  return row.reason ? details(name, row.reason) : name;
}

function decisionCell(row) {
  return row.rule === null ? "-" : details(printable(row.rule), row.decision);
}

function details(summary, text) {
  return element("details", {}, element("summary", {}, summary), printable(text));
}

function jobsOf(root) {
  const { fields, rows } = JSON.parse(root.querySelector("#data").textContent);
  return rows.map((row) => Object.fromEntries(fields.map((field, at) => [field, row[at]])));
}

function isWanted(row) {
  return (
    (!shown.state || row.state === shown.state) &&
    (!shown.method || row.method === shown.method) &&
    (!shown.folder || `${row.folder}/` === shown.folder) &&
    (!shown.wanted || row.searched.includes(shown.wanted))
  );
}

function compare(one, other) {
  const [a, b] = [one[shown.by], other[shown.by]];
  if (a === b) return 0;
  // What nobody knows comes last, either way.
  if (a === null) return 1;
  if (b === null) return -1;
  return (a < b ? -1 : 1) * (shown.descending ? -1 : 1);
}

function choice(label, all, values, key, refresh) {
  const select = element("select", {}, new Option(all, ""), ...values.map((value) => new Option(printable(value), value)));
  select.setAttribute("aria-label", label);
  if (values.includes(shown[key])) select.value = shown[key];
  else shown[key] = "";
  select.addEventListener("change", () => refresh({ [key]: select.value, page: 0 }));
  return select;
}

function showJobs(root) {
  const section = root.querySelector("#jobs");
  if (!section) return;
  const jobs = jobsOf(root);
  for (const row of jobs) {
    const texts = [row.name, row.id, row.folder, row.rule, row.decision, row.reason, row.day, row.engines.join(" ")];
    row.searched = texts.filter(Boolean).join("\n").toLocaleLowerCase();
  }
  const values = (read) => [...new Set(jobs.map(read))].sort();
  const query = element("input", { type: "search", placeholder: "Search uploads, reasons, rules, ids", value: shown.wanted });
  query.setAttribute("aria-label", "Search jobs");
  const count = element("output");
  const previous = element("button", { type: "button", textContent: "Previous" });
  const next = element("button", { type: "button", textContent: "Next" });
  const body = element("tbody");
  const heads = COLUMNS.map(([key, title, , classes]) => {
    const button = element("button", { type: "button", textContent: title });
    // Numbers begin with the largest, names with the first.
    const first = !(classes || "").startsWith("text");
    button.addEventListener("click", () => refresh({ by: key, descending: shown.by === key ? !shown.descending : first, page: 0 }));
    const head = element("th", { className: classes || "" }, button);
    head.scope = "col";
    return head;
  });

  function refresh(changes) {
    Object.assign(shown, changes);
    const found = jobs.filter(isWanted).sort(compare);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    shown.page = Math.min(shown.page, pages - 1);
    const first = shown.page * PAGE;
    body.replaceChildren(...found.slice(first, first + PAGE).map(tableRow));
    const sum = found.reduce((usd, row) => usd + row.usd, 0);
    const some = found.length ? `${first + 1} to ${Math.min(first + PAGE, found.length)} of ` : "";
    count.textContent = `${some}${found.length} jobs, ${money(sum)}`;
    previous.disabled = shown.page === 0;
    next.disabled = shown.page >= pages - 1;
    heads.forEach((head, at) => {
      if (COLUMNS[at][0] === shown.by) head.ariaSort = shown.descending ? "descending" : "ascending";
      else head.ariaSort = null;
    });
  }

  query.addEventListener("input", () => refresh({ wanted: query.value.trim().toLocaleLowerCase(), page: 0 }));
  previous.addEventListener("click", () => refresh({ page: shown.page - 1 }));
  next.addEventListener("click", () => refresh({ page: shown.page + 1 }));
  const controls = element(
    "div",
    { className: "controls" },
    query,
    choice("Outcome", "All outcomes", values((row) => row.state), "state", refresh),
    choice("Method", "All methods", values((row) => row.method), "method", refresh),
    choice("Folder", "All folders", values((row) => `${row.folder}/`), "folder", refresh),
    previous,
    next,
    count,
  );
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const wide = element("div", { className: "wide", tabIndex: 0, role: "region", ariaLabel: "Jobs" }, table);
  section.append(controls, wide);
  refresh({});
}

function tableRow(row) {
  const cells = COLUMNS.map(([key, , show, classes]) => {
    const cell = element("td", { className: classes || "" }, show(row));
    if (key === "state") cell.classList.add(row.state.replaceAll(" ", "-"));
    return cell;
  });
  return element("tr", {}, ...cells);
}

showJobs(document.getElementById("report"));
