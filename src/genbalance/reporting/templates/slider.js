document.documentElement.classList.add("live");
document.addEventListener("DOMContentLoaded", () => {
  for (const figure of document.querySelectorAll(".slider")) {
    const range = figure.querySelector("input");
    if (!range) continue;
    const places = [...figure.querySelectorAll("[data-place]")];
    const show = () => {
      for (const it of places) it.classList.toggle("at", it.dataset.place === range.value);
      range.setAttribute("aria-valuetext", figure.querySelector("tr.at").dataset.words);
    };
    range.addEventListener("input", show);
    figure.addEventListener("click", event => {
      const it = event.target.closest("svg [data-place]");
      if (!it) return;
      range.value = it.dataset.place;
      range.focus({preventScroll: true});
      show();
    });
    show();
  }
});
