/* Draws the pictures from the data in the page.
   Belongs here: geometry and colour. Does not belong here: any figure that is not in the data already. */
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const byId = new Map(data.followers.map((follower) => [follower.id, follower]));
  const narrow = () => window.innerWidth < 720;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const text = (value) => String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const rowHeight = (count) => Math.max(150, 64 + count * (count > 12 ? 22 : 38));
  // Long spans are drawn in hours or days; what happens per second (liquidations) is drawn in seconds only.
  const timed = [data.copies, data.leader_fills, data.follower_fills, data.verdicts, data.exposures, ...Object.values(data.prices)];
  const longest = timed.flat().reduce((most, point) => Math.max(most, point.x), 0);
  const unit = data.liquidations.length || longest < 7200 ? { seconds: 1, name: "seconds", short: "s" }
    : longest < 172800 ? { seconds: 3600, name: "hours", short: "h" } : { seconds: 86400, name: "days", short: "d" };
  timed.flat().forEach((point) => { point.x /= unit.seconds; });
  if (data.shock) { data.shock.from /= unit.seconds; data.shock.to /= unit.seconds; }
  document.getElementById("price-unit").textContent = `price over ${unit.name} of the run`;
  let symbol = data.symbols.length ? data.symbols[0].name : null;

  function axis(extra) {
    const title = Object.assign({ font: { color: colour("--muted"), size: 12 } }, extra.title);
    return Object.assign({
      gridcolor: colour("--line"), zerolinecolor: colour("--faint"), linecolor: colour("--line"),
      tickfont: { color: colour("--muted"), size: 12 },
      automargin: true, zeroline: false, fixedrange: false,
    }, extra, { title });
  }

  function layout(extra) {
    return Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink"), size: 12 },
      margin: { l: 8, r: 12, t: 8, b: 34 },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink"), size: 12 }, align: "left" },
      legend: { orientation: "h", x: 0, y: -0.16, yanchor: "top", font: { color: colour("--muted"), size: 11.5 }, traceorder: "normal" },
    }, extra);
  }

  const executed = data.followers.filter((follower) => follower.slippage !== null);
  const names = executed.map((follower) => text(follower.id));
  const reversed = names.slice().reverse();
  const rows = (extra) => axis(Object.assign({
    categoryorder: "array", categoryarray: reversed, showgrid: false, fixedrange: true,
    tickfont: { color: colour("--ink"), size: 12.5 }, ticklabelstandoff: 6,
  }, extra));

  // A picture without data says why, instead of showing empty axes.
  function put(id, traces, drawn, why) {
    const place = document.getElementById(id);
    if (traces.some((trace) => trace.x.length)) { place.classList.remove("nothing"); Plotly.react(place, traces, drawn, config); return; }
    place.classList.add("nothing");
    place.textContent = why;
  }

  function drawSlippage() {
    const traces = executed.map((follower) => {
      const copies = data.copies.filter((copy) => copy.follower === follower.id);
      return {
        type: "box", name: text(follower.id), orientation: "h", x: copies.map((copy) => copy.bps), y: copies.map(() => text(follower.id)),
        boxpoints: "all", jitter: 0.55, pointpos: 0, whiskerwidth: 0.35, width: 0.62,
        line: { color: follower.colour, width: 1.4 }, fillcolor: follower.colour + "22",
        marker: { color: follower.colour, symbol: follower.shape, size: 5, opacity: 0.6, line: { width: 0 } }, hoveron: "points",
        text: copies.map((copy) => `${text(copy.signal)} ${copy.side}, ${copy.verdict}<br>${copy.latency} ms after the leader`),
        hovertemplate: "<b>%{y}</b> %{x:.2f} bps<br>%{text}<extra></extra>",
      };
    });
    traces.push(means(executed));
    put("picture-slippage", traces, layout({
      height: rowHeight(executed.length), xaxis: axis({ title: { text: "bps per copy" }, zeroline: true, zerolinewidth: 1 }), yaxis: rows(),
    }), "No copy was executed.");
  }

  function means(of) {
    return {
      type: "scatter", mode: "markers", x: of.map((follower) => follower.slippage.mean), y: of.map((follower) => text(follower.id)), cliponaxis: false,
      marker: { symbol: "diamond", size: 10, color: colour("--ink"), line: { color: colour("--card"), width: 1.6 } },
      customdata: of.map((follower) => follower.copies),
      hovertemplate: "<b>%{y}</b> mean %{x:.2f} bps<br>over %{customdata} copies<extra></extra>",
    };
  }

  function step(definition, of, values, format) {
    return {
      type: "bar", orientation: "h", name: text(definition.label), x: values, y: of.map((follower) => text(follower.id)), width: 0.56,
      marker: {
        color: colour(definition.colour), line: { color: colour("--card"), width: 1 },
        pattern: { shape: definition.deliberate ? "/" : "", size: 5, solidity: 0.45, fgcolor: colour("--card"), fillmode: "overlay" },
      },
      customdata: of.map(() => text(definition.note ? `${definition.words}<br>${definition.note}` : definition.words)),
      hovertemplate: `<b>%{y}</b> ${text(definition.label)}: ${format}<br>%{customdata}<extra></extra>`,
    };
  }

  function drawParts() {
    const split = executed.filter((follower) => follower.parts);
    const traces = data.parts
      .map((part, at) => [part, split.map((follower) => follower.parts[at])])
      .filter(([, values]) => values.some((value) => value !== 0))
      .map(([part, values]) => step(part, split, values, "%{x:+.2f} bps"));
    if (split.length) traces.push(Object.assign(means(split), { showlegend: false }));
    put("picture-parts", traces, layout({
      height: rowHeight(executed.length) + 58, barmode: "relative", showlegend: true, legend: legendBelow(executed.length),
      xaxis: axis({ title: { text: "mean bps", standoff: 4 }, zeroline: true, zerolinewidth: 1 }), yaxis: rows(),
    }), "No quotes are known between the fills, so nothing says which part of the way it was lost on.");
  }

  function drawTrend() {
    const steps = data.trend, x = steps.map((found) => text(found.label));
    const traces = data.parts
      .map((part, at) => [part, steps.map((found) => found.parts ? found.parts[at] : 0)])
      .filter(([, values]) => values.some((value) => value !== 0))
      .map(([part, values]) => ({
        type: "bar", name: text(part.label), x, y: values,
        marker: {
          color: colour(part.colour), line: { color: colour("--card"), width: 1 },
          pattern: { shape: part.deliberate ? "/" : "", size: 5, solidity: 0.45, fgcolor: colour("--card"), fillmode: "overlay" },
        },
        hovertemplate: `%{x} ${text(part.label)}: %{y:+.2f} bps<extra></extra>`,
      }));
    if (steps.length) traces.push({
      type: "scatter", mode: "lines+markers", name: "mean", x, y: steps.map((found) => found.mean), cliponaxis: false,
      line: { color: colour("--ink"), width: 1.4 }, marker: { symbol: "diamond", size: 8, color: colour("--ink"), line: { color: colour("--card"), width: 1.4 } },
      customdata: steps.map((found) => [found.p95, found.copies]),
      hovertemplate: "<b>%{x}</b> mean %{y:.2f} bps, p95 %{customdata[0]:.2f}<br>over %{customdata[1]} copies<extra></extra>",
    });
    put("picture-trend", traces, layout({
      height: 320, barmode: "relative", showlegend: true, legend: { orientation: "h", x: 0, y: -0.22, yanchor: "top", font: { color: colour("--muted"), size: 11.5 } },
      xaxis: axis({ type: "category", nticks: 12 }), yaxis: axis({ title: { text: "mean bps", standoff: 4 }, zeroline: true, zerolinewidth: 1 }),
    }), "No copy was executed.");
  }

  function legendBelow(count) {
    const height = rowHeight(count);
    return { orientation: "h", x: 0, xanchor: "left", y: -52 / Math.max(height - 42, 90), yanchor: "top", font: { color: colour("--muted"), size: 11.5 }, itemwidth: 30, traceorder: "normal" };
  }

  function drawLatency() {
    const legged = executed.filter((follower) => follower.legs);
    const traces = data.legs
      .map((leg, at) => [leg, legged.map((follower) => follower.legs[at])])
      .filter(([, values]) => values.some((value) => value))
      .map(([leg, values]) => step(leg, legged, values, "%{x} ms"));
    traces.push({
      type: "scatter", mode: "markers", x: executed.map((follower) => follower.latency.p50), y: names, showlegend: false, cliponaxis: false,
      error_x: {
        type: "data", symmetric: false, array: executed.map((follower) => follower.latency.p95 - follower.latency.p50),
        arrayminus: executed.map(() => 0), color: colour("--muted"), thickness: 1.4, width: 5,
      },
      marker: { symbol: "diamond", size: 10, color: colour("--ink"), line: { color: colour("--card"), width: 1.6 } },
      customdata: executed.map((follower) => [follower.latency.p95, follower.latency.p99]),
      hovertemplate: "<b>%{y}</b> whole way<br>p50 %{x} ms, p95 %{customdata[0]} ms, p99 %{customdata[1]} ms<extra></extra>",
    });
    put("picture-latency", traces, layout({
      height: rowHeight(executed.length) + 58, barmode: "relative", showlegend: true, legend: legendBelow(executed.length),
      xaxis: axis({ title: { text: "ms after the leader's fill", standoff: 4 }, rangemode: "tozero", zeroline: true }), yaxis: rows(),
    }), "No copy was executed.");
  }

  function marketTime(prices, second) {
    let low = 0, high = prices.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (prices[middle].x < second) low = middle + 1; else high = middle;
    }
    return prices.length && prices[low].market ? `<br>market time ${prices[low].market}` : "";
  }

  // Triangles say buy or sell; whose they are is the colour, and inside the triangle once colours repeat.
  const triangles = { circle: ["triangle-up", "triangle-down"], square: ["triangle-up-dot", "triangle-down-dot"], diamond: ["star-triangle-up", "star-triangle-down"] };
  const triangle = (side, shape) => triangles[shape || "circle"][side === "buy" ? 0 : 1];
  // Many signals make a band of triangles over the price: the more there are, the smaller they are.
  const leaderSize = (count) => Math.round(Math.max(8, Math.min(19, 19 - (count - 20) / 8)) * (narrow() ? 0.75 : 1));

  function fills(points, prices, name, marker, shape) {
    return {
      type: "scatter", mode: "markers", name: text(name), x: points.map((point) => point.x), y: points.map((point) => point.price),
      marker: Object.assign({ symbol: points.map((point) => triangle(point.side, shape)) }, marker),
      text: points.map((point) => `${point.side} ${text(point.qty)} at ${text(point.shown)}<br>${text(point.note)}${marketTime(prices, point.x)}`),
      hovertemplate: `<b>${text(name)}</b> %{text}<extra></extra>`,
    };
  }

  function lines(prices) {
    const line = (key, name, style) => ({
      type: "scatter", mode: "lines", name, x: prices.map((price) => price.x), y: prices.map((price) => price[key]), line: style, connectgaps: true,
      text: prices.map((price) => (price.market ? `<br>market time ${price.market}` : "")),
      hovertemplate: `${name} %{y:,.8~f} at %{x:.1f} ${unit.short}%{text}<extra></extra>`,
    });
    return [
      line("last", "last", { color: colour("--last"), width: 1.3 }),
      line("index", "index", { color: colour("--index"), width: 1.5, dash: "dot" }),
      line("mark", "mark", { color: colour("--mark"), width: 1.9 }),
    ];
  }

  function liquidationTraces(points, prices) {
    if (!points.length) return [];
    const perSecond = new Map();
    points.forEach((point) => perSecond.set(Math.floor(point.x), (perSecond.get(Math.floor(point.x)) || 0) + 1));
    const seconds = [...perSecond.keys()].sort((a, b) => a - b);
    return [
      {
        type: "scatter", mode: "markers", name: "liquidation", x: points.map((point) => point.x), y: points.map((point) => point.price),
        marker: { symbol: "x-thin", size: 7, opacity: 0.8, line: { color: colour("--danger"), width: 1.4 } },
        text: points.map((point) => `${point.side} ${text(point.qty)} at ${text(point.shown)}${marketTime(prices, point.x)}`),
        hovertemplate: "<b>liquidation</b> %{text}<extra></extra>",
      },
      {
        type: "bar", x: seconds.map((second) => second + 0.5), y: seconds.map((second) => perSecond.get(second)), width: 0.85, yaxis: "y2", showlegend: false,
        marker: { color: colour("--danger"), opacity: 0.75 }, hovertemplate: "%{y} liquidations in this second<extra></extra>",
      },
    ];
  }

  // One lane per follower: what it did about each signal, when.
  function lanes() {
    const looks = {
      copied: { solid: true }, capped: { solid: false },
      skipped: { symbol: "x-thin", colour: "--faint" }, missed: { symbol: "x-thin", colour: "--danger" },
    };
    return data.followers.map((follower) => {
      const own = data.verdicts.filter((verdict) => verdict.who === follower.id && verdict.symbol === symbol);
      const look = (verdict) => looks[verdict.verdict];
      const ink = (verdict) => (look(verdict).colour ? colour(look(verdict).colour) : follower.colour);
      return {
        type: "scatter", mode: "markers", name: text(follower.id), xaxis: "x", yaxis: "y3", showlegend: false, cliponaxis: false,
        x: own.map((verdict) => verdict.x), y: own.map(() => text(follower.id)),
        marker: {
          symbol: own.map((verdict) => look(verdict).symbol || triangle(verdict.side)), opacity: 1, size: own.map((verdict) => (look(verdict).symbol ? 6 : narrow() || own.length > 60 ? 7 : 9)),
          color: own.map((verdict) => (look(verdict).solid ? follower.colour : colour("--card"))),
          line: { color: own.map(ink), width: own.map((verdict) => (look(verdict).solid ? 0.5 : 1.6)) },
        },
        text: own.map((verdict) => `${text(verdict.signal)} ${verdict.side}: <b>${verdict.verdict}</b>${verdict.why === verdict.verdict ? "" : `<br>${text(verdict.why)}`}`),
        hovertemplate: `<b>${text(follower.id)}</b> %{text}<extra></extra>`,
      };
    });
  }

  function drawPrice() {
    const of = (points) => points.filter((point) => point.symbol === symbol);
    const prices = (data.prices[symbol] || []);
    const liquidations = of(data.liquidations);
    const traces = [...lines(prices), ...liquidationTraces(liquidations, prices)];
    data.leaders.forEach((leader) => {
      const own = of(data.leader_fills).filter((fill) => fill.who === leader);
      if (!own.length) return;
      const size = leaderSize(own.length);
      traces.push(fills(own, prices, `${leader} (leader)`, { size, color: "rgba(0,0,0,0)", line: { color: colour("--leader"), width: size > 12 ? 2 : 1.3 } }));
    });
    const signals = data.leader_fills.filter((fill) => fill.symbol === symbol).length;
    data.followers.forEach((follower, at) => {
      const own = of(data.follower_fills).filter((fill) => fill.who === follower.id);
      const size = Math.max(5, Math.round(leaderSize(signals) / 2));
      const visible = at < data.colours ? true : "legendonly";
      if (own.length) traces.push(Object.assign(fills(own, prices, follower.id, { size, color: follower.colour, opacity: 1, line: { color: colour("--card"), width: size > 7 ? 1 : 0.6 } }, follower.shape), { visible }));
    });
    traces.push(...lanes());
    const shade = data.shock ? [{
      type: "rect", xref: "x", yref: "paper", x0: data.shock.from, x1: data.shock.to, y0: 0, y1: 1, fillcolor: colour("--shock"), line: { width: 0 }, layer: "below",
    }] : [];
    const label = data.shock ? [{ x: (data.shock.from + data.shock.to) / 2, y: 1, xref: "x", yref: "paper", yanchor: "bottom", text: text(data.shock.label), showarrow: false, font: { color: colour("--danger"), size: 12 } }] : [];
    const counted = liquidations.length > 0;
    const laneShare = Math.min(0.4, 0.045 * data.followers.length + 0.02);
    const laneFrom = counted ? 0.13 : 0.01;
    Plotly.react("picture-price", traces, layout({
      height: (narrow() ? 500 : 600) + Math.max(0, data.followers.length - 8) * 8, hovermode: "closest", showlegend: true, shapes: shade, annotations: label, margin: { l: 8, r: 12, t: 24, b: 34 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: -0.12, yanchor: "top", font: { color: colour("--muted"), size: 12 }, traceorder: "normal" },
      xaxis: axis({ title: { text: `${unit.name} of the run`, standoff: 6 }, anchor: counted ? "y2" : "y3", rangemode: "tozero" }),
      yaxis: axis({ domain: [laneFrom + laneShare + 0.03, 1], tickformat: ",~f", title: { text: narrow() ? "" : text(symbol || ""), standoff: 6 } }),
      yaxis2: axis({ domain: [0, 0.09], visible: counted, fixedrange: true, nticks: 3, showgrid: false, title: { text: narrow() ? "" : "liq./s", standoff: 6 } }),
      yaxis3: rows({ domain: [laneFrom, laneFrom + laneShare], categoryarray: data.followers.map((each) => text(each.id)).reverse(), tickfont: { color: colour("--ink"), size: data.followers.length > 12 ? 9 : 11.5 } }),
    }), config);
  }

  // Every copy when it was made, and the leaders' trades on the line of no slippage.
  function drawOverTime() {
    const traces = executed.map((follower) => {
      const own = data.copies.filter((copy) => copy.follower === follower.id);
      return {
        type: "scatter", mode: "markers", name: text(follower.id), x: own.map((copy) => copy.x), y: own.map((copy) => copy.bps), cliponaxis: false,
        marker: { color: follower.colour, symbol: follower.shape, size: 8, opacity: 0.85, line: { color: colour("--card"), width: 0.8 } },
        text: own.map((copy) => `${text(copy.signal)} ${copy.side}, ${copy.verdict}<br>${copy.latency} ms after the leader`),
        hovertemplate: `<b>${text(follower.id)}</b> %{y:.2f} bps at %{x:.1f} ${unit.short}<br>%{text}<extra></extra>`,
      };
    });
    data.leaders.forEach((leader) => {
      const own = data.leader_fills.filter((fill) => fill.who === leader);
      const size = Math.max(7, leaderSize(own.length) - 6);
      traces.push({
        type: "scatter", mode: "markers", name: `${text(leader)} (leader)`, x: own.map((fill) => fill.x), y: own.map(() => 0), cliponaxis: false,
        marker: { symbol: own.map((fill) => triangle(fill.side)), size, color: colour("--card"), line: { color: colour("--leader"), width: 1.3 } },
        text: own.map((fill) => `${fill.side} ${text(fill.qty)} ${text(fill.symbol)} at ${text(fill.shown)}`),
        hovertemplate: `<b>${text(leader)}</b> %{text}<extra></extra>`,
      });
    });
    put("picture-over-time", traces, overTime("bps, worse is up", {}), "No copy was executed.");
  }

  function overTime(heights, extra) {
    return layout({
      height: narrow() ? 330 : 340, showlegend: true, legend: legendBelow(6),
      xaxis: axis({ title: { text: `${unit.name} of the run`, standoff: 4 } }),
      yaxis: axis(Object.assign({ title: { text: narrow() ? "" : heights, standoff: 6 }, zeroline: true, zerolinewidth: 1 }, extra)),
    });
  }

  // How far each follower was from where its policy wanted it, by its own words.
  function drawTracking() {
    const traces = data.followers.map((follower) => {
      const own = data.exposures.filter((said) => said.who === follower.id);
      return {
        type: "scatter", mode: own.length > 1 ? "lines" : "markers", name: text(follower.id), x: own.map((said) => said.x), y: own.map((said) => said.apart),
        line: { color: follower.colour, width: 1.8, shape: "hv" }, marker: { color: follower.colour, symbol: follower.shape },
        text: own.map((said) => `target ${said.target.toFixed(3)}, actual ${said.actual.toFixed(3)}`),
        hovertemplate: `<b>${text(follower.id)}</b> %{y:.2f} % of equity at %{x:.1f} ${unit.short}<br>%{text}<extra></extra>`,
      };
    }).filter((trace) => trace.x.length);
    put("picture-tracking", traces, overTime("% of equity", { rangemode: "tozero" }), "No follower told of its exposure.");
  }

  function drawGap() {
    const traces = data.symbols.filter((each) => (data.prices[each.name] || []).some((price) => price.gap !== null)).map((each, at) => ({
      type: "scatter", mode: "lines", name: text(each.name), x: data.prices[each.name].map((price) => price.x), y: data.prices[each.name].map((price) => price.gap),
      connectgaps: true, line: { color: at === 0 ? colour("--mark") : colour(`--step-${2 + (at % 6)}`), width: 1.6 },
      hovertemplate: `<b>${text(each.name)}</b> last %{y:+.1f} bps from the mark at %{x:.1f} ${unit.short}<extra></extra>`,
    }));
    put("picture-gap", traces, Object.assign(overTime("bps of the mark", {}), { showlegend: traces.length > 1 }), "No mark prices are known.");
  }

  function drawSymbols() {
    const box = document.getElementById("symbols");
    box.hidden = data.symbols.length < 2;
    box.replaceChildren(...data.symbols.map((each) => {
      const button = document.createElement("button");
      button.textContent = each.name;
      button.setAttribute("aria-pressed", String(each.name === symbol));
      button.addEventListener("click", () => { symbol = each.name; drawSymbols(); drawPrice(); });
      return button;
    }));
  }

  function draw() {
    drawSlippage(); drawParts(); drawTrend(); drawOverTime(); drawLatency(); drawTracking(); drawGap(); drawSymbols(); drawPrice();
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
