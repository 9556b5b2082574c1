"use strict";
// What Python drew is shown as it is; only legends move below the figure where there is no room beside it.
const NARROW = window.matchMedia("(max-width: 40rem)");

function draw(box, figure) {
  const layout = structuredClone(figure.layout);
  if (NARROW.matches) {
    layout.showlegend = layout.showlegend !== false && figure.data.length <= 8;
    layout.legend = { ...layout.legend, orientation: "h", y: -0.2 };
    layout.margin = { ...layout.margin, l: 40, r: 10, t: 40 };
  }
  delete layout.width;
  return Plotly.react(box, figure.data, layout, { responsive: true, displayModeBar: false });
}

const boxes = [...document.querySelectorAll(".figure")];
boxes.forEach((box, at) => draw(box, FIGURES[at]));
NARROW.addEventListener("change", () => boxes.forEach((box, at) => draw(box, FIGURES[at])));

for (const maps of document.querySelectorAll(".maps")) {
  const select = maps.querySelector("select.label");
  const drawn = [...maps.querySelectorAll(".figure")];
  const show = () => drawn.forEach((box) => {
    const opacity = box.data.map((_, at) => select.value === "" ? 0.8 : at === Number(select.value) ? 1 : 0.06);
    Plotly.restyle(box, { "marker.opacity": opacity });
  });
  select.addEventListener("change", show);
  // A label picked in the legend is picked in the list: both maps show it, and the list says which it is.
  drawn.forEach((box) => box.on("plotly_legendclick", (event) => {
    const picked = String(event.curveNumber);
    select.value = select.value === picked ? "" : picked;
    show();
    return false;
  }));
}
