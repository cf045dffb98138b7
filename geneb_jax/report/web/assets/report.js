// Tables that sort and filter, one regime and one score at a time, light and dark, and the charts. No library, except
// Vega for the charts, which is loaded behind this file. Without scripts every table of the page is shown as it is.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // ---- tables ------------------------------------------------------------------------------------------------------
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return cell.dataset.v === "" ? NaN : Number(cell.dataset.v);
    const text = cell.textContent.trim();
    return cell.classList.contains("n") ? parseFloat(text.replace("−", "-").replaceAll(",", "")) : text.toLowerCase();
  };

  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

  function sort(table, column, direction) {
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [row, valueOf(row, column)]);
    const known = rows.filter(([, value]) => !Number.isNaN(value)).sort(([, a], [, b]) => sign * compare(a, b));
    const unknown = rows.filter(([, value]) => Number.isNaN(value));
    table.tBodies[0].append(...[...known, ...unknown].map(([row]) => row));
    for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
      if (i === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    }
  }

  document.addEventListener("click", (event) => {
    const head = event.target.closest("table.sortable th button")?.closest("th");
    if (!head) return;
    const was = head.getAttribute("aria-sort");
    // scores are wanted from the best down, ranks and names from the first on
    const first = head.classList.contains("n") && head.cellIndex > 0 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    sort(head.closest("table"), head.cellIndex, was === first ? other : first);
  });

  // ---- regime, score, search ---------------------------------------------------------------------------------------
  const controls = document.getElementById("controls");
  const state = { regime: null, scope: "macro" };

  function showRegime() {
    for (const part of all(".regime")) part.hidden = part.dataset.regime !== state.regime;
  }

  function showScope() {
    for (const table of all("table.board")) {
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((head) => head.dataset.scope === state.scope);
      if (column < 0) continue;
      for (const row of table.rows) {
        for (const cell of row.cells) cell.classList.toggle("chosen", cell.dataset.scope === state.scope && state.scope !== "macro");
      }
      for (const row of table.tBodies[0].rows) rankBy(row.cells[0], row.cells[column].dataset);
      sort(table, 0, "ascending");
    }
  }

  function rankBy(cell, { rank, span, tied }) {
    cell.dataset.v = rank ?? "";
    cell.replaceChildren(part("r", rank ?? "–"));
    if (span !== undefined) cell.append(" ", part("span", span));
    if (tied !== undefined) {
      cell.append(" ", part("tie", "="));
      cell.lastChild.title = "not told from the best";
    }
  }

  function part(name, text) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  }

  function find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of all("tr[data-search]")) row.hidden = !words.every((word) => row.dataset.search.includes(word));
    const rows = all(`.regime[data-regime="${CSS.escape(state.regime)}"] tr[data-search]`);
    document.getElementById("shown").textContent = words.length
      ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} encoders`
      : "";
  }

  if (controls) {
    state.regime = controls.elements.regime.value;
    controls.hidden = false;
    controls.addEventListener("submit", (event) => event.preventDefault());
    controls.elements.find.addEventListener("input", (event) => find(event.target.value));
    controls.addEventListener("change", () => {
      state.regime = controls.elements.regime.value;
      state.scope = controls.elements.scope.value;
      showRegime();
      showScope();
      find(controls.elements.find.value);
      follow();
    });
    showRegime();
  }

  // ---- theme -------------------------------------------------------------------------------------------------------
  const button = document.getElementById("theme");
  const stored = (() => {
    try { return localStorage.getItem("geneb-theme"); } catch { return null; } // storage may be forbidden
  })();
  if (stored) root.dataset.theme = stored;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("geneb-theme", root.dataset.theme); } catch { /* not kept then */ }
    label();
    draw(true);
  });
  dark.addEventListener("change", () => { label(); draw(true); });

  // ---- charts ------------------------------------------------------------------------------------------------------
  const held = document.getElementById("charts-data");
  const source = held ? JSON.parse(held.textContent) : { rows: [], charts: {} };
  const views = new Map();

  function config(width) {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const font = style.getPropertyValue("--sans").trim();
    const text = { labelColor: colour("ink"), titleColor: colour("quiet"), labelFont: font, titleFont: font,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: null, font, view: { stroke: null }, text: { fill: colour("ink"), font },
      axis: { ...text, gridColor: colour("line"), domainColor: colour("quiet"), tickColor: colour("quiet") },
      legend: { ...text, orient: "bottom", columns: Math.max(1, Math.floor(width / 210)), labelLimit: 180 },
    };
  }

  async function draw(again = false) {
    for (const figure of window.vegaEmbed ? all("figure.chart") : []) {
      const place = figure.querySelector(".plot");
      const name = figure.dataset.chart;
      if ((views.has(name) && !again) || place.clientWidth === 0) continue;
      views.get(name)?.finalize();
      // the page holds the data once, and every chart is given the same rows
      const spec = { ...source.charts[name].spec, datasets: { scores: source.charts[name].rows ?? source.rows } };
      const chart = await vegaEmbed(place, spec, {
        actions: false, renderer: "svg", ast: true, config: config(place.clientWidth), tooltip: { theme: "custom" },
      });
      views.set(name, chart);
      await chart.view.signal("regime", state.regime).signal("scope", state.scope).runAsync();
      await new Promise((next) => setTimeout(next)); // let the page answer in between
    }
    root.dataset.charts = "drawn";
  }

  async function follow() {
    for (const { view } of views.values()) await view.signal("regime", state.regime).signal("scope", state.scope).runAsync();
    for (const figure of all("figure.chart:has(details[open])")) list(figure);
  }

  function list(figure) {
    const { columns, every_regime, every_category, rows: own } = source.charts[figure.dataset.chart];
    const rows = own ?? source.rows.filter((row) =>
      (every_regime || row.regime === state.regime) && (every_category ? row.category : row.scope === state.scope));
    const table = document.createElement("table");
    table.createCaption().textContent = figure.querySelector("h3").textContent;
    const head = table.createTHead().insertRow();
    for (const [, text] of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      for (const [field] of columns) {
        const value = row[field];
        const cell = line.insertCell();
        cell.textContent = value === undefined ? "–" : typeof value === "number" ? value.toLocaleString("en") : value === true ? "yes" : value;
        if (typeof value === "number") cell.className = "n";
      }
    }
    figure.querySelector(".data").replaceChildren(table);
  }

  for (const figure of all("figure.chart")) {
    figure.querySelector("details").addEventListener("toggle", () => list(figure));
  }

  // ---- pages within the file: of tasks, categories and encoders, as text until one is asked for --------------------
  const texts = document.getElementById("pages-data");
  const page = document.getElementById("page");
  const title = document.title;
  const overview = document.getElementById("overview");
  let pages = null;

  function route() {
    const name = decodeURIComponent(location.hash.slice(1));
    if (texts && name && !document.getElementById(name)) pages ??= JSON.parse(texts.textContent);
    const found = pages && Object.hasOwn(pages, name) ? pages[name] : null;
    if (page) {
      const back = !found && !page.hidden;
      page.innerHTML = found ?? "";
      page.hidden = !found;
      overview.hidden = Boolean(found);
      document.title = found ? `${page.querySelector("h1").textContent} – ${title}` : title;
      if (found) {
        scrollTo(0, 0);
        page.focus({ preventScroll: true });
      } else if (back) {
        document.getElementById(name)?.scrollIntoView();
      }
    }
    draw();
  }

  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => draw(true), 200);
  });
  addEventListener("hashchange", route);
  addEventListener("load", route);
})();
