// Draws the page's pictures and keeps the page current: news makes it load itself again, in place.
// Belongs here: drawing and loading. Does not belong here: any figure; those are in the page.
"use strict";

const COLOURS = ["#2a8fc0", "#d55e00", "#00704f", "#7a4fb5", "#b58900", "#c2437a", "#4c78a8", "#5b6470"];
const RELOAD_PAUSE_MS = 40;
const RETRY_MS = 2000;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Names and texts come from others, and the plotting library reads some markup.
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function layout(picture) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--muted"), linecolor: colour("--line"), automargin: true };
  const bars = picture.kind === "stacked";
  return {
    margin: { l: 46, r: 14, t: 10, b: 34 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink"), size: 12 },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") }, align: "left" },
    barmode: "relative",
    hovermode: "closest",
    showlegend: false,
    xaxis: { ...axis, type: bars ? "category" : "date", showgrid: !bars, nticks: window.innerWidth < 600 ? 4 : 8 },
    yaxis: { ...axis, title: { text: plain(picture.unit), font: { color: colour("--muted") } }, zeroline: true },
  };
}

const MARKS = {
  buy: () => ({ symbol: "triangle-up", color: colour("--good"), size: 10, line: { color: colour("--card"), width: 1 } }),
  sell: () => ({ symbol: "triangle-down", color: colour("--bad"), size: 10, line: { color: colour("--card"), width: 1 } }),
  fill: () => ({ symbol: "circle-open", color: colour("--muted"), size: 6, line: { width: 1.4 } }),
  sum: () => ({ symbol: "diamond", color: colour("--ink"), size: 10, line: { color: colour("--card"), width: 1.5 } }),
};

function paintOf(series, place) {
  if (series.mark) return MARKS[series.mark]().color;
  return series.step ? colour(`--step-${series.step}`) : COLOURS[place % COLOURS.length];
}

function traces(picture) {
  return picture.series.map((series, place) => {
    const text = (series.text || []).map(plain);
    const own = { name: plain(series.name), x: series.x, y: series.y, text, hoverinfo: "x+y+text+name", cliponaxis: false };
    const paint = paintOf(series, place);
    if (series.mark) return { ...own, type: "scatter", mode: "markers", marker: MARKS[series.mark]() };
    if (picture.kind === "stacked") return { ...own, type: "bar", width: Math.min(0.55, series.x.length * 0.14), marker: { color: paint, line: { color: colour("--card"), width: 1 } } };
    if (picture.kind === "points") return { ...own, mode: "markers", marker: { color: paint, size: 7, opacity: 0.85 } };
    const shape = picture.kind === "steps" ? "hv" : "linear";
    return { ...own, mode: series.x.length > 1 ? "lines" : "markers", line: { color: paint, width: 1.8, shape } };
  });
}

// What is which: a list of our own, which wraps on a phone; a name can be switched off and on.
function key(picture, place) {
  const list = document.createElement("ul");
  list.className = "key";
  if (picture.series.length < 2) return list;
  picture.series.forEach((series, number) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const dot = document.createElement("i");
    dot.style.background = paintOf(series, number);
    if (series.mark) dot.className = series.mark;
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(dot, series.name);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      Plotly.restyle(place, { visible: shown }, [number]);
    });
    item.append(button);
    list.append(item);
  });
  return list;
}

// Instead of a picture: that there is none, or that it could not be drawn.
function instead(place, text, name) {
  const line = document.createElement("p");
  line.className = name;
  line.textContent = text;
  place.replaceChildren(line);
  place.classList.remove("drawn");
  place.removeAttribute("role");
  place.removeAttribute("aria-label");
}

function draw() {
  const data = document.getElementById("pictures");
  const pictures = new Map((data ? JSON.parse(data.textContent) : []).map((picture) => [picture.id, picture]));
  for (const place of document.querySelectorAll(".picture")) {
    const picture = pictures.get(place.id.replace("picture-", ""));
    if (!picture || !picture.series.length) {
      instead(place, place.dataset.empty, "empty");
      continue;
    }
    try {
      place.replaceChildren();
      place.classList.add("drawn");
      Plotly.newPlot(place, traces(picture), layout(picture), { displayModeBar: false, responsive: true });
      place.after(key(picture, place));
    } catch {
      instead(place, "This picture could not be drawn. Load the page again.", "bad");
    }
  }
}

// Tables: a heading is a button that sorts by its column; what was chosen outlives a loading.
const sorting = new Map();
const ORDER = new Intl.Collator("en", { numeric: true });
const SECONDS = { s: 1, min: 60, h: 3600, d: 86400 };

function worth(cell) {
  const text = cell ? cell.textContent.trim() : "";
  const found = /^([+-]?[\d,]*\.?\d+)(?![\d:.-])\s?(\w*)( ago)?/.exec(text);
  if (!found) return text === "–" ? "" : text;
  return Number(found[1].replaceAll(",", "")) * (found[3] ? SECONDS[found[2]] || 1 : 1);
}

// Cells without anything are last, whichever way.
function compare(one, other, sign) {
  if (one === "" || other === "") return Number(one === "") - Number(other === "");
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * ORDER.compare(String(one), String(other));
}

function sort(region, { column, descending }) {
  const body = region.querySelector("tbody");
  const rows = [...body.rows].map((row) => [worth(row.cells[column]), row]);
  rows.sort(([one], [other]) => compare(one, other, descending ? -1 : 1));
  body.replaceChildren(...rows.map(([, row]) => row));
  region.querySelectorAll("thead th").forEach((heading, place) => {
    if (place === column) heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else heading.removeAttribute("aria-sort");
  });
}

function makeSortable() {
  for (const region of document.querySelectorAll(".table")) {
    const label = region.getAttribute("aria-label");
    region.querySelectorAll("thead th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const before = sorting.get(label);
        const again = before && before.column === column;
        const first = region.querySelector("tbody").rows[0];
        const descending = again ? !before.descending : typeof worth(first && first.cells[column]) === "number";
        sorting.set(label, { column, descending });
        sort(region, sorting.get(label));
      });
    });
    if (sorting.has(label)) sort(region, sorting.get(label));
  }
}

// What had the focus, and how far each table was scrolled, stays so when the page's content is replaced.
const FOCUSABLE = "a[href], button, [tabindex]";

function nameOf(element) {
  const region = element.closest("[aria-label]");
  const own = element.getAttribute("href") || element.textContent;
  return [element.tagName, region && region.getAttribute("aria-label"), own].join("|");
}

function remember() {
  const focused = document.activeElement;
  const held = focused && focused.matches(FOCUSABLE) && focused.id !== "main" ? nameOf(focused) : null;
  const scrolled = new Map([...document.querySelectorAll(".table")].map((region) => [region.getAttribute("aria-label"), [region.scrollLeft, region.scrollTop]]));
  return () => {
    for (const region of document.querySelectorAll(".table")) {
      [region.scrollLeft, region.scrollTop] = scrolled.get(region.getAttribute("aria-label")) || [0, 0];
    }
    const again = held && [...document.querySelectorAll(FOCUSABLE)].find((element) => nameOf(element) === held);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
  };
}

// Colours come from the style sheet: the other theme draws anew.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const list of document.querySelectorAll(".key")) list.remove();
  draw();
});

let loading = false;
let wanted = false;
let isLost = false; // the stream of news

async function reload() {
  wanted = true;
  if (loading) return;
  loading = true;
  while (wanted) {
    wanted = false;
    await new Promise((done) => setTimeout(done, RELOAD_PAUSE_MS));
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.status === 503) {
        say("the store cannot be read, trying again", "off");
        setTimeout(reload, RETRY_MS);
      }
      if (!answer.ok || answer.redirected) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const restore = remember();
      for (const part of ["main", "header nav"]) {
        document.querySelector(part).replaceChildren(...page.querySelector(part).childNodes);
      }
      document.title = page.title;
      draw();
      makeSortable();
      restore();
      if (document.getElementById("live").className === "off" && !isLost) say("live", "on");
      document.body.dataset.loaded = String(Number(document.body.dataset.loaded || 0) + 1);
    } catch {
      break;
    }
  }
  loading = false;
}

function say(text, name) {
  const live = document.getElementById("live");
  live.textContent = text;
  live.className = name;
}

function listen() {
  const source = new EventSource("/events");
  source.onopen = () => {
    isLost = false;
    say("live", "on");
    reload();
  };
  source.onerror = () => {
    isLost = true;
    say("connection lost, trying again", "off");
  };
  source.addEventListener("news", reload);
}

draw();
makeSortable();
if (location.pathname === "/login") say("", "");
else listen();
