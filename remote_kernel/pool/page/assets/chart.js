// Sessions over time as steps: what is in use, the pods that wait on top of it, the ceiling, and who was refused.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 18, right: 0, bottom: 20, left: 22 };

function element(name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

function scales(box, chart, top) {
  const width = box.width - MARGIN.left - MARGIN.right;
  const height = box.height - MARGIN.top - MARGIN.bottom;
  return {
    x: (age) => MARGIN.left + width * (1 - Math.min(age, chart.seconds) / chart.seconds),
    y: (count) => MARGIN.top + height * (1 - count / top),
  };
}

// Each sample holds until the next one, the last one until now.
function steps(samples, { x, y }, count) {
  return samples
    .map((sample, index) => `H${x(sample[0]).toFixed(1)}V${y(count(sample)).toFixed(1)}` +
      (index === samples.length - 1 ? `H${x(0)}` : ""))
    .join("");
}

function area(samples, scale, count) {
  if (samples.length === 0) return "";
  return `M${scale.x(samples[0][0]).toFixed(1)} ${scale.y(0)}${steps(samples, scale, count)}V${scale.y(0)}Z`;
}

function edge(samples, scale, count) {
  if (samples.length === 0) return "";
  const [first] = samples;
  return `M${scale.x(first[0]).toFixed(1)} ${scale.y(count(first)).toFixed(1)}${steps(samples, scale, count)}`;
}

function axes(chart, { x, y }) {
  const start = `${chart.seconds / 60} min ago`;
  const line = (count, kind) => element("path", { class: kind, d: `M${x(chart.seconds)} ${y(count)}H${x(0)}` });
  const bottom = y(0) + 16;
  return [
    line(0, "base"),
    line(chart.max_sessions, "ceiling"),
    element("text", { x: 0, y: y(chart.max_sessions) + 4 }, chart.max_sessions),
    element("text", { x: 0, y: y(0) + 4 }, "0"),
    element("text", { x: x(chart.seconds), y: bottom }, start),
    element("text", { x: x(chart.seconds / 2), y: bottom, "text-anchor": "middle" }, `${chart.seconds / 120} min ago`),
    element("text", { x: x(0), y: bottom, "text-anchor": "end" }, "now"),
  ];
}

function refusals(chart, { x, y }) {
  const tip = y(chart.max_sessions) - 3;
  return chart.refusals.map(([age, count]) => {
    const size = 3 + Math.min(5, Math.log2(count));
    const centre = x(age);
    return element("path", { class: "refused", d: `M${centre} ${tip}l${-size} ${-size * 1.5}h${2 * size}Z` });
  });
}

export function drawChart(svg, chart) {
  svg.removeAttribute("hidden");
  const box = svg.getBoundingClientRect();
  const most = Math.max(...chart.samples.map(([, sessions, ready]) => sessions + ready), 0);
  const scale = scales(box, chart, Math.max(chart.max_sessions, most));
  const inUse = ([, sessions]) => sessions;
  svg.replaceChildren(
    element("path", { class: "ready", d: area(chart.samples, scale, ([, sessions, ready]) => sessions + ready) }),
    element("path", { class: "paper", d: area(chart.samples, scale, inUse) }),
    element("path", { class: "in-use", d: area(chart.samples, scale, inUse) }),
    ...axes(chart, scale),
    element("path", { class: "edge", d: edge(chart.samples, scale, inUse) }),
    ...refusals(chart, scale),
  );
}
