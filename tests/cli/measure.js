// Runs in a copy of the page, and tells the page around it where things were really drawn.

// Else nobody would hear of a mistake in here.
addEventListener("error", (event) => parent.postMessage(event.message, "*"));

const box = (element) => element.getBoundingClientRect();

function measureCall(group, section) {
  const plot = box(group.closest("svg")).left;
  const bar = box(group.querySelector(".run, .async, .broken"));
  const waits = group.querySelector(".wait");
  const call = Number(group.dataset.call);
  const label = section.querySelector(`.rows [data-call="${call}"]`);
  const middle = (rect) => (rect.top + rect.bottom) / 2;
  return {
    call,
    from: bar.left - plot,
    to: bar.right - plot,
    waits: waits && box(waits).left - plot,
    off: middle(box(label)) - middle(bar),
    thread: label.querySelector("span").textContent,
  };
}

function measureStrategy(section) {
  const plot = box(section.querySelector("svg.calls"));
  const beats = box(section.querySelector("svg.beats"));
  const curve = box(section.querySelector("path.late"));
  const top = section.querySelector("svg.scale text").textContent;
  const [value, unit] = top.split(" ");
  return {
    name: section.dataset.strategy,
    plot: plot.width,
    calls: [...section.querySelectorAll("g[data-call]")]
      .map((group) => measureCall(group, section))
      .sort((a, b) => a.call - b.call),
    beats: curve.right - beats.left,
    high: curve.height / beats.height,
    decades: Math.log10(Number(value) * (unit === "s" ? 1000 : 1)),
  };
}

// As WCAG 2 has it, for colours without transparency.
function luminance(colour) {
  const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function background(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
  return "rgb(255, 255, 255)";
}

// Texts below 4.5 to 1 and marks below 3 to 1.
function faint() {
  const found = new Set();
  for (const element of document.querySelectorAll("body *")) {
    if (["SCRIPT", "STYLE", "title", "desc"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const behind = background(element);
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const inside = element.namespaceURI.endsWith("svg");
    if (own && contrast(inside ? style.fill : style.color, behind) < 4.5) {
      found.add(`text of ${element.tagName}.${element.getAttribute("class")}`);
    }
    if (["rect", "path"].includes(element.tagName)) {
      const seen = style.stroke === "none" ? style.fill : style.stroke;
      if (contrast(seen, behind) < 3) found.add(`mark ${element.getAttribute("class")}`);
    }
  }
  return [...found];
}

// Elements that hide a part of what they contain.
function cut() {
  return [...document.querySelectorAll("h1, h2, h3, p, li, td, th, .rows strong")]
    .filter((element) => !element.closest("details, .results thead"))
    .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
    .map((element) => element.textContent);
}

const root = document.documentElement;
parent.postMessage(
  JSON.stringify({
    width: innerWidth,
    wider: Math.max(0, root.scrollWidth - root.clientWidth),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    cut: cut(),
    faint: faint(),
    strategies: [...document.querySelectorAll("section[data-strategy]")].map(measureStrategy),
  }),
  "*",
);
