// Draws the page's pictures and keeps the page current: news makes it load itself again, in place.
// Belongs here: drawing and loading. Does not belong here: any figure; those are in the page.
"use strict";

const COLOURS = ["#2a8fc0", "#d55e00", "#00704f", "#7a4fb5", "#b58900", "#c2437a", "#4c78a8", "#5b6470"];
const RELOAD_PAUSE_MS = 40;

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

function draw() {
  const data = document.getElementById("pictures");
  if (!data || typeof Plotly === "undefined") return;
  for (const picture of JSON.parse(data.textContent)) {
    const place = document.getElementById(`picture-${picture.id}`);
    if (!place || !picture.series.length) continue;
    place.replaceChildren();
    place.classList.add("drawn");
    Plotly.newPlot(place, traces(picture), layout(picture), { displayModeBar: false, responsive: true });
    place.after(key(picture, place));
  }
}

// Colours come from the style sheet: the other theme draws anew.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const list of document.querySelectorAll(".key")) list.remove();
  draw();
});

let loading = false;
let wanted = false;

async function reload() {
  wanted = true;
  if (loading) return;
  loading = true;
  while (wanted) {
    wanted = false;
    await new Promise((done) => setTimeout(done, RELOAD_PAUSE_MS));
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const held = document.activeElement && document.activeElement.getAttribute("href");
      for (const part of ["main", "header nav"]) {
        document.querySelector(part).replaceChildren(...page.querySelector(part).childNodes);
      }
      const again = held && [...document.querySelectorAll("a")].find((link) => link.getAttribute("href") === held);
      if (again) again.focus({ preventScroll: true });
      document.title = page.title;
      draw();
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
    say("live", "on");
    reload();
  };
  source.onerror = () => say("connection lost, trying again", "off");
  source.addEventListener("news", reload);
}

draw();
if (location.pathname === "/login") say("", "");
else listen();
