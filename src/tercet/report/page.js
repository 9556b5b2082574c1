"use strict";
// Draw the plots with the layout that Python set. On a narrow screen, the legend goes below the plot, or is left out if
// it has more than 8 entries, and the maps have no hover box, which would be wider than the window. The sentence is
// shown below the maps only.
const NARROW = window.matchMedia("(max-width: 40rem)");
const NARROW_NAME = 16;
const MAX_OPEN_ROWS = 30;
const boxes = [...document.querySelectorAll(".figure")];
const plotOf = (box) => PLOTS[boxes.indexOf(box)];

function draw(box) {
  const plot = plotOf(box);
  // A wide plot keeps its size, and its box scrolls.
  if (box.closest(".wide")) return Plotly.react(box, plot.data, plot.layout, { displayModeBar: false });
  const layout = structuredClone(plot.layout);
  let data = plot.data;
  if (NARROW.matches) {
    const named = data.filter((trace) => trace.showlegend !== false).length;
    layout.showlegend = layout.showlegend !== false && named > 1 && named <= 8;
    layout.legend = { ...layout.legend, orientation: "h", yanchor: "top", y: -55 / (layout.height - 90) };
    if (layout.yaxis?.ticktext) layout.yaxis = { ...layout.yaxis, ticktext: layout.yaxis.ticktext.map(shortened) };
    // A title of two lines keeps its margin.
    layout.margin = { ...layout.margin, l: 40, r: 10, t: layout.title?.text?.includes("<br>") ? layout.margin.t : 40 };
    if (box.closest(".maps")) data = data.map((trace) => ({ ...trace, hovertemplate: null, hoverinfo: "none" }));
  }
  delete layout.width;
  return Plotly.react(box, data, layout, { responsive: true, displayModeBar: false });
}

// Convert the text of a plot to plain text. It is escaped HTML, and its only tag is <br>.
function asText(html) {
  const reader = document.createElement("textarea");
  reader.innerHTML = html.replaceAll("<br>", " ");
  return reader.value;
}

// Shorten an escaped label name, so that the names leave room for the plot.
function shortened(html) {
  const letters = [...asText(html)];
  if (letters.length <= NARROW_NAME) return html;
  const text = letters.slice(0, NARROW_NAME - 1).join("") + "…";
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function listOf(trace) {
  const list = document.createElement("ul");
  for (const sentence of trace.text) {
    const item = document.createElement("li");
    item.dir = "auto";
    item.textContent = asText(sentence);
    list.append(item);
  }
  return list;
}

function connect(maps) {
  const select = maps.querySelector("select.label");
  const pointed = maps.querySelector(".pointed");
  const picked = maps.querySelector(".picked");
  const drawn = [...maps.querySelectorAll(".figure")];
  const sentences = plotOf(drawn[0]).data;
  const show = () => {
    drawn.forEach((box) => {
      const opacity = box.data.map((_, at) => select.value === "" ? 0.8 : at === Number(select.value) ? 1 : 0.06);
      Plotly.restyle(box, { "marker.opacity": opacity });
    });
    picked.hidden = select.value === "";
    picked.replaceChildren(...(picked.hidden ? [] : [listOf(sentences[select.value])]));
  };
  select.addEventListener("change", show);
  drawn.forEach((box) => {
    const read = (event) => {
      const { curveNumber, pointNumber } = event.points[0];
      const { text, customdata } = sentences[curveNumber];
      pointed.textContent = `${asText(text[pointNumber])} [${asText(customdata[pointNumber])}]`;
    };
    box.on("plotly_hover", read);
    box.on("plotly_click", read);
    // A click on a label in the legend selects it in the list, so that both maps highlight it.
    box.on("plotly_legendclick", (event) => {
      const label = String(event.curveNumber);
      select.value = select.value === label ? "" : label;
      show();
      return false;
    });
  });
}

// Add a button to each row of a tree that has rows below it, which shows or hides them. A large tree starts folded.
function fold(table) {
  const rows = [...table.querySelectorAll("tr[data-level]")];
  const levelOf = (row) => Number(row?.dataset.level ?? 0);
  const show = () => {
    let shown = Infinity;  // Rows of a larger level are below a folded one.
    for (const row of rows) {
      row.hidden = levelOf(row) > shown;
      if (row.hidden) continue;
      shown = row.querySelector("button")?.ariaExpanded === "false" ? levelOf(row) : Infinity;
    }
  };
  const open = rows.length <= MAX_OPEN_ROWS;
  table.classList.toggle("tree", rows.some((row) => levelOf(row) > 1));
  rows.forEach((row, at) => {
    row.style.setProperty("--level", levelOf(row));
    if (levelOf(rows[at + 1]) <= levelOf(row)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.ariaExpanded = String(open);
    button.ariaLabel = `Below ${row.cells[0].textContent}`;
    button.addEventListener("click", () => {
      button.ariaExpanded = String(button.ariaExpanded === "false");
      show();
    });
    row.cells[0].prepend(button);
  });
  show();
}

for (const maps of document.querySelectorAll(".maps")) {
  const data = [...maps.querySelectorAll(".figure")].map((box) => plotOf(box).data);
  data.forEach((traces) => traces.forEach((trace, at) => {
    trace.text = data[0][at].text;
    trace.customdata = trace.text.map(() => trace.customdata[0]);
  }));
}
document.querySelectorAll("table:has(tr[data-level])").forEach(fold);
boxes.forEach(draw);
document.querySelectorAll(".maps").forEach(connect);
NARROW.addEventListener("change", () => {
  boxes.forEach(draw);
  document.querySelectorAll("select.label").forEach((select) => select.dispatchEvent(new Event("change")));
});
