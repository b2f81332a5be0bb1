// Draws the page's pictures and keeps the page current: news makes it load itself again, in place.
// Belongs here: drawing and loading. Does not belong here: any figure; those are in the page.
"use strict";

const COLOURS = ["#2a8fc0", "#d55e00", "#00704f", "#7a4fb5", "#b58900", "#c2437a", "#4c78a8", "#5b6470"];
const RELOAD_PAUSE_MS = 40;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function layout(picture) {
  return {
    margin: { l: 52, r: 12, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: 12 },
    barmode: "relative",
    hovermode: "closest",
    legend: { orientation: "h", y: -0.16, font: { size: 11 } },
    xaxis: { type: picture.kind === "stacked" ? "category" : "date", gridcolor: colour("--line") },
    yaxis: { title: { text: picture.unit }, gridcolor: colour("--line"), zerolinecolor: colour("--muted") },
    showlegend: picture.series.length < 12,
  };
}

function traces(picture) {
  return picture.series.map((series, place) => {
    const own = { name: series.name, x: series.x, y: series.y, text: series.text, hoverinfo: "x+y+text+name" };
    const paint = COLOURS[place % COLOURS.length];
    if (picture.kind === "stacked") return { ...own, type: "bar", marker: { color: paint } };
    if (picture.kind === "points") return { ...own, mode: "markers", marker: { color: paint, size: 7 } };
    if (series.mark) {
      const symbol = series.mark === "buy" ? "triangle-up" : "triangle-down";
      const side = series.mark === "buy" ? colour("--good") : colour("--bad");
      return { ...own, mode: "markers", showlegend: false, marker: { symbol, color: side, size: 10 } };
    }
    return { ...own, mode: "lines", line: { color: paint, width: 1.6 } };
  });
}

function draw() {
  const data = document.getElementById("pictures");
  if (!data || typeof Plotly === "undefined") return;
  for (const picture of JSON.parse(data.textContent)) {
    const place = document.getElementById(`picture-${picture.id}`);
    if (!place || !picture.series.length) continue;
    place.replaceChildren();
    Plotly.newPlot(place, traces(picture), layout(picture), { displayModeBar: false, responsive: true });
  }
}

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
