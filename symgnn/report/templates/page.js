"use strict";

// What plotly adds to a figure: a width that follows the page, and buttons where a mouse is at hand
// (on a screen that is touched they would cover the figure for good).
const CONFIG = {
  displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  displaylogo: false,
  scrollZoom: false, // the wheel scrolls the page, also over a rotatable picture
  showSendToCloud: false, // plotly would offer to upload the data
  plotlyServerURL: "",
  responsive: true,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "resetCameraLastSave3d", "hoverClosest3d"],
  toImageButtonOptions: { format: "svg" },
};

function merged(shared, own) {
  const result = { ...shared };
  for (const [key, value] of Object.entries(own)) {
    const nested = value && typeof value === "object" && !Array.isArray(value);
    result[key] = nested ? merged(shared[key] ?? {}, value) : value;
  }
  return result;
}

function draw(holder, panels) {
  [...holder.children].forEach((child) => Plotly.purge(child));
  holder.replaceChildren();
  holder.classList.toggle("three", panels.length % 3 === 0);
  for (const panel of panels) {
    const place = document.createElement("div");
    holder.append(place);
  }
  panels.forEach((panel, k) => {
    Plotly.newPlot(holder.children[k], panel.data, merged(SHARED_LAYOUT, panel.layout), CONFIG);
  });
}

for (const figure of document.querySelectorAll("figure.plots")) {
  const choices = JSON.parse(figure.querySelector("script").textContent);
  const holder = figure.querySelector(".panels");
  const list = figure.querySelector("select");
  list?.addEventListener("change", () => draw(holder, choices[list.value].panels));
  draw(holder, choices[list?.value ?? 0].panels);
}
